/** The AsyncAPI document: valid by the specification's own schema, and true of the contracts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import specifications from '@asyncapi/specs';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import { asyncApi, classNameOf, formatSequence, platformCatalogue } from '../src/index.ts';
import { sampleOf } from './samples.ts';

const catalogue = platformCatalogue({ namespace: 'surefire' });
const document = asyncApi({ catalogue, version: '1.2.3' });

/** A validator that knows all formats, and the document under the name `document`. */
function validator(): Ajv {
  const ajv = new Ajv({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema(document, 'document');
  return ajv;
}

describe('the AsyncAPI document', () => {
  it('is valid by the schema that AsyncAPI publishes', () => {
    const ajv = validator();
    const isValid = ajv.compile(specifications.schemasWithoutId['3.0.0'] as object);
    assert.ok(isValid(document), ajv.errorsText(isValid.errors));
    assert.ok(
      !isValid({ ...document, channels: { trading: { addres: 'x' } } }),
      'the schema refuses nothing',
    );
  });

  it('refers to nothing that is not there', () => {
    const references = JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g);
    for (const [, path = ''] of references) {
      const found = path
        .split('/')
        .reduce<unknown>((at, name) => (at as Record<string, unknown>)?.[name], document);
      assert.notEqual(found, undefined, path);
    }
  });

  it('has a channel per topic, with every version of every event of it, to be sent and received', () => {
    assert.deepEqual(Object.keys(document.channels), catalogue.topics);
    for (const [topic, channel] of Object.entries(document.channels)) {
      assert.equal(channel.address, `surefire.${topic}`);
      const names = catalogue.contracts
        .filter((contract) => contract.topic === topic)
        .map(({ name }) => `${name}.v1`);
      assert.deepEqual(Object.keys(channel.messages), names);
      for (const action of ['send', 'receive'] as const) {
        assert.equal(document.operations[`${action}_${topic}`]?.action, action);
      }
    }
    assert.equal(Object.keys(document.components.messages).length, catalogue.contracts.length);
  });

  it('describes headers and payload so that our events fit, and others do not', () => {
    const ajv = validator();
    for (const contract of catalogue.contracts) {
      const name = `${contract.name}.v${contract.version}`;
      const at = `document#/components/messages/${name}`;
      assert.equal(document.components.messages[name]?.title, classNameOf(contract));
      const data = sampleOf(contract);
      const attributes = {
        specversion: '1.0',
        id: '0198c0de-0000-7000-8000-000000000000',
        type: catalogue.typeOf(contract),
        source: '/surefire/test',
        subject: contract.subject(data),
        time: '2026-01-02T03:04:05.678Z',
        datacontenttype: 'application/json',
        partitionkey: contract.key(data),
        sequence: formatSequence(7n),
      };
      const check = (part: string, value: unknown) => ajv.validate({ $ref: `${at}/${part}` }, value);
      assert.ok(check('headers', attributes), `${name} ${ajv.errorsText()}`);
      assert.ok(!check('headers', { ...attributes, type: 'surefire.other.thing.v1' }), name);
      assert.ok(!check('headers', { ...attributes, id: undefined }), name);
      assert.ok(check('payload', data), `${name} ${ajv.errorsText()}`);
      assert.ok(!check('payload', { ...data, timestamp: 'yesterday' }), name);
    }
  });

  it('carries the namespace of the process and the version of the program', () => {
    const other = asyncApi({ catalogue: platformCatalogue({ namespace: 'astra' }), version: '9' });
    assert.equal(other.channels['trading']?.address, 'astra.trading');
    assert.equal(
      other.components.messages['trading.trade_executed.v1']?.name,
      'astra.trading.trade_executed.v1',
    );
    assert.equal(document.info.version, '1.2.3');
  });
});
