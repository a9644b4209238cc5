import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PROBLEMS, Problem, problemDocument, problemsMarkdown } from '../src/index.ts';

test('a problem document has the members of RFC 9457, the correlation id and the extensions', () => {
  const problem = new Problem('operation-timeout', 'Still going.', { extensions: { operation_id: '42' } });
  assert.deepEqual(problemDocument(problem, 'abc'), {
    type: 'urn:surefire:problem:operation-timeout',
    title: 'The operation is still under way',
    status: 504,
    detail: 'Still going.',
    correlation_id: 'abc',
    operation_id: '42',
  });
});

test('an extension cannot take the place of a standard member', () => {
  const problem = new Problem('internal', undefined, { extensions: { status: 200, type: 'x' } });
  const document = problemDocument(problem, 'abc');
  assert.equal(document.status, 500);
  assert.equal(document.type, 'urn:surefire:problem:internal');
});

test('every slug is kebab-case, has an error status, and is one row of the reference page', () => {
  const page = problemsMarkdown();
  for (const [slug, { status }] of Object.entries(PROBLEMS)) {
    assert.match(slug, /^[a-z]+(-[a-z]+)*$/);
    assert.ok(status >= 400 && status <= 599);
    assert.equal(page.split(`| \`${slug}\` |`).length, 2);
  }
});
