/** The OpenAPI document: valid, whole, and with examples that its own schemas accept. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import Schema from 'typebox/schema';
import { readOpenApi } from '../scripts/reference.ts';

const document = await readOpenApi();
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ name: `${method} ${path}`, path, operation })),
);

/** Every object in the document, with where it stands. */
function* objectsIn(value: unknown, place = ''): Generator<[string, Record<string, unknown>]> {
  if (typeof value !== 'object' || value === null) return;
  yield [place, value as Record<string, unknown>];
  for (const [key, member] of Object.entries(value)) {
    yield* objectsIn(member, `${place}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`);
  }
}

function resolved(value: unknown): Record<string, unknown> {
  const { $ref } = value as { $ref?: string };
  if ($ref === undefined) return value as Record<string, unknown>;
  assert.match($ref, /^#\//);
  const found = $ref
    .slice(2)
    .split('/')
    .reduce<unknown>((within, key) => (within as Record<string, unknown> | undefined)?.[key], document);
  assert.ok(found !== undefined, `${$ref} leads nowhere`);
  return found as Record<string, unknown>;
}

describe('the OpenAPI document', () => {
  it('is valid OpenAPI 3.1', async () => {
    const { valid, errors } = await new Validator().validate(structuredClone(document) as never);
    assert.deepEqual(errors ?? [], []);
    assert.equal(valid, true);
  });

  it('refers to its components by name, and only to those there are', () => {
    for (const [, { $ref }] of objectsIn(document)) {
      if (typeof $ref === 'string') resolved({ $ref });
    }
    const named = ['Account', 'Balance', 'Entries', 'Operation', 'Operations', 'Accepted', 'Problem'];
    assert.deepEqual(
      named.filter((name) => !(name in document.components.schemas)),
      [],
    );
    // A named schema stands once: everywhere else there is a reference.
    for (const { name, operation } of operations) {
      for (const [status, { content = {} }] of Object.entries(operation.responses)) {
        const { schema } = content['application/json'] ?? {};
        if (
          schema !== undefined &&
          'properties' in schema &&
          Object.keys(schema.properties ?? {}).length > 0
        ) {
          assert.fail(`${name} ${status} has its schema inlined`);
        }
      }
    }
  });

  it('has an id for each operation, and no id twice', () => {
    const ids = operations.map(({ operation }) => operation.operationId);
    assert.ok(!ids.includes(undefined));
    assert.equal(new Set(ids).size, ids.length);
  });

  for (const { name, path, operation } of operations) {
    it(`describes ${name} whole`, () => {
      assert.ok(operation.summary && operation.description && operation.tags?.length === 1);
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
      const parameters = operation.parameters ?? [];
      assert.deepEqual(
        parameters.filter((each) => each.in === 'path').map((each) => each.name),
        inPath,
      );
      for (const parameter of parameters) {
        assert.ok(parameter.description && 'example' in parameter, `parameter ${parameter.name}`);
      }
      for (const media of Object.values(operation.requestBody?.content ?? {})) assert.ok('example' in media);

      const responses = Object.entries(operation.responses);
      const successes = responses.filter(([status]) => /^2\d\d$/.test(status));
      assert.equal(successes.length, 1);
      for (const [status, response] of responses) {
        assert.ok(response.description && !/^Done|Default/.test(response.description), status);
        assert.ok('X-Correlation-Id' in (response.headers ?? {}), status);
        assert.equal('Retry-After' in (response.headers ?? {}), status === '503' && !isHealth(path), status);
        const media = Object.values(response.content ?? {});
        assert.equal(media.length, 1, status);
        assert.ok(media.every((each) => 'example' in each || Object.keys(each.examples ?? {}).length > 0));
      }
    });

    it(`names the problems of ${name} under their own statuses`, () => {
      for (const [status, { content = {} }] of Object.entries(operation.responses)) {
        const { examples = {} } = content['application/problem+json'] ?? {};
        for (const [slug, example] of Object.entries(examples)) {
          const { value } = resolved(example) as { value: { type: string; status: number } };
          assert.equal(value.type, `urn:surefire:problem:${slug}`);
          if (status !== '4XX') assert.equal(String(value.status), status);
        }
      }
    });
  }

  it('asks for a key and names its scope, or says that none is needed', () => {
    for (const { name, operation } of operations) {
      const scope = /scope `([a-z:]+)`/.exec(operation.description ?? '')?.[1];
      if (operation.tags?.[0] === 'operating') {
        assert.match(operation.description ?? '', /Needs no key/, name);
        assert.deepEqual(operation.security, [], name);
      } else {
        assert.deepEqual(operation.security, [{ apiKey: [scope] }, { bearer: [scope] }], name);
      }
    }
  });

  it('has examples that its schemas accept', () => {
    let checked = 0;
    for (const [place, object] of objectsIn(document)) {
      const examples = [
        ...('example' in object ? [object['example']] : []),
        ...Object.values((object['examples'] as object | undefined) ?? {}).map((each) =>
          Array.isArray(object['examples']) ? (each as unknown) : resolved(each)['value'],
        ),
      ];
      if (examples.length === 0 || /\/(?:example|value)(?:\/|$)/.test(place)) continue;
      const schema = object['schema'] ?? object;
      // `$ref`s point into the document, so it is the schema's own root.
      const check = Schema.Compile({ ...schema, components: document.components } as never);
      for (const example of examples) {
        checked += 1;
        assert.ok(
          check.Check(example),
          `${place}: ${JSON.stringify(example)} ${JSON.stringify(check.Errors(example))}`,
        );
      }
    }
    assert.ok(checked > 100, `only ${checked} examples`);
  });

  it('has schemas that refuse what their examples are not', () => {
    const check = Schema.Compile({
      $ref: '#/components/schemas/Operations',
      components: document.components,
    } as never);
    assert.ok(!check.Check({ operations: [{ operation_id: 'none' }] }), 'the references are followed');
  });
});

function isHealth(path: string): boolean {
  return path === '/livez' || path === '/readyz';
}
