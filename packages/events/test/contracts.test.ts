/** The platform's contracts: which there are, and the rules that all of them keep. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  assertData,
  type Contract,
  ContractViolationError,
  classNameOf,
  event,
  type JsonSchema,
  platformCatalogue,
  schemaOf,
} from '../src/index.ts';
import { sampleOf } from './samples.ts';

const catalogue = platformCatalogue({ namespace: 'surefire' });
const { contracts } = catalogue;
const every = (rule: (contract: Contract) => unknown) => {
  for (const contract of contracts) assert.ok(rule(contract), contract.name);
};
const membersOf = (contract: Contract): [string, JsonSchema][] =>
  Object.entries(schemaOf(contract).properties ?? {});

/** The decision that introduced events, by its own class names and categories. It says 26, and lists 28. */
const DECIDED: Readonly<Record<string, readonly string[]>> = {
  identity: [
    'UserCreatedEvent',
    'UserUpdatedEvent',
    'UserLoginEvent',
    'UserStatusChangedEvent',
    'UserRoleChangedEvent',
    'UserPasswordChangedEvent',
  ],
  trading: [
    'OrderCreatedEvent',
    'OrderValidatedEvent',
    'OrderFilledEvent',
    'OrderCancelledEvent',
    'OrderExpiredEvent',
    'OrderRejectedEvent',
    'TradeCreatedEvent',
    'TradePlacedEvent',
    'TradeExecutedEvent',
    'TradeClosedEvent',
    'TradeCancelledEvent',
    'TradeFailedEvent',
  ],
  banking: ['FundsDepositedEvent', 'FundsWithdrawnEvent', 'FundsLockedEvent', 'FundsReleasedEvent'],
  payments: ['PaymentCreatedEvent', 'PaymentSuccessEvent', 'PaymentFailedEvent', 'PaymentExpiredEvent'],
  reports: ['ReportRequestedEvent', 'ReportCompletedEvent'],
};

const OURS: Readonly<Record<string, readonly string[]>> = {
  trading: ['PositionUpdatedEvent'],
  banking: [
    'AccountOpenedEvent',
    ...['Deposit', 'Withdrawal', 'Transfer'].flatMap((kind) => [
      `${kind}RequestedEvent`,
      `${kind}CompletedEvent`,
      `${kind}FailedEvent`,
    ]),
  ],
  reports: ['ReportFailedEvent'],
  engagement: ['TradeSharedEvent', 'XpGrantedEvent', 'NotificationSentEvent'],
};

/** `topic`: what the key of its events is. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  trading: ['account_id'],
  banking: ['account_id', 'from_account_id'],
  identity: ['user_id'],
  payments: ['account_id'],
  reports: ['report_id'],
  engagement: ['account_id'],
};

describe('the catalogue', () => {
  const listed = (table: typeof DECIDED) =>
    Object.entries(table).flatMap(([topic, names]) => names.map((name) => `${topic} ${name}`));

  it('has the 28 events that were decided on, in their domains', () => {
    assert.equal(listed(DECIDED).length, 28);
    const known = new Set(contracts.map((contract) => `${contract.topic} ${classNameOf(contract)}Event`));
    assert.deepEqual(
      listed(DECIDED).filter((name) => !known.has(name)),
      [],
    );
  });

  it('has nothing besides these and our own', () => {
    assert.deepEqual(
      contracts.map((contract) => `${contract.topic} ${classNameOf(contract)}Event`).toSorted(),
      [...listed(DECIDED), ...listed(OURS)].toSorted(),
    );
    assert.equal(contracts.length, 43);
  });

  it('names types as the seeds do', () => {
    const types = platformCatalogue({ namespace: 'astra' });
    const executed = contracts.find(({ name }) => name === 'trading.trade_executed') as Contract;
    assert.equal(types.typeOf(executed), 'astra.trading.trade_executed.v1');
  });
});

describe('every contract', () => {
  it('is named by its domain, which is its topic, and its event', () => {
    every(
      ({ name, topic, version }) => new RegExp(`^${topic}\\.[a-z]+(_[a-z]+)*$`).test(name) && version >= 1,
    );
    assert.deepEqual(catalogue.topics, Object.keys(KEYS));
  });

  it('is keyed by the account, the user or the report', () => {
    every((contract) => {
      const [key, ...others] = schemaOf(contract)['x-key'];
      return others.length === 0 && KEYS[contract.topic]?.includes(key as string);
    });
    every(
      (contract) => (schemaOf(contract)['x-key'][0] === 'from_account_id') === /transfer/.test(contract.name),
    );
  });

  it('is about an aggregate whose id is in its data', () => {
    every((contract) => {
      const subject = schemaOf(contract)['x-subject'];
      return subject.includes(`${contract.aggregate}_id`) || contract.aggregate === 'position';
    });
  });

  it('is critical, unless it is about engagement', () => {
    every(({ delivery, topic }) => delivery === (topic === 'engagement' ? 'best-effort' : 'critical'));
  });

  it('says in one sentence what happened', () => {
    every(({ description }) => /^[A-Z][^.]+\.$/.test(description) && description.length <= 110);
  });

  it('has flat data in snake_case, with the time it happened', () => {
    every((contract) =>
      membersOf(contract).every(
        ([name, schema]) =>
          /^[a-z]+(_[a-z]+)*$/.test(name) &&
          schema.type !== 'object' &&
          (schema.type !== 'array' || schema.items?.type === 'string'),
      ),
    );
    every((contract) => schemaOf(contract).required?.includes('timestamp'));
  });

  it('carries ids, amounts and quantities in one form each', () => {
    every((contract) =>
      membersOf(contract).every(([name, schema]) => {
        if (name.endsWith('_id')) return schema['format'] === 'uuid';
        if (name === 'timestamp' || name.endsWith('_at')) return schema['format'] === 'date-time';
        if (/amount|balance|price|value|fee|cost|pnl|quantity|points|size/.test(name)) {
          return schema.type === 'integer' && schema['maximum'] === Number.MAX_SAFE_INTEGER;
        }
        return schema.type !== 'number' && schema.type !== 'integer';
      }),
    );
  });

  it('names nobody', () => {
    every((contract) =>
      membersOf(contract).every(([name]) => !/name|mail|phone|address|password|secret|ip$|birth/.test(name)),
    );
  });

  it('takes its key and subject from data that fit it', () => {
    for (const contract of contracts) {
      const { data } = event(contract, sampleOf(contract));
      const { 'x-key': key, 'x-subject': subject } = schemaOf(contract);
      assert.equal(contract.key(data), data[key[0] as string], contract.name);
      assert.equal(contract.subject(data), subject.map((name) => data[name]).join('/'), contract.name);
    }
  });

  it('allows members it does not know, refuses to miss one it requires, and other types', () => {
    for (const contract of contracts) {
      const data = sampleOf(contract);
      assertData(contract, { ...data, from_a_newer_version: true });
      for (const name of schemaOf(contract).required ?? []) {
        for (const wrong of [undefined, null, {}, 1.5]) {
          const broken = { ...data, [name]: wrong };
          assert.throws(
            () => assertData(contract, broken),
            ContractViolationError,
            `${contract.name} ${name}`,
          );
        }
      }
    }
  });
});

describe('amounts', () => {
  const executed = contracts.find(({ name }) => name === 'trading.trade_executed') as Contract;
  const position = contracts.find(({ name }) => name === 'trading.position_updated') as Contract;
  const most = Number.MAX_SAFE_INTEGER;

  for (const [contract, member, value, fits] of [
    [executed, 'value', 1, true],
    [executed, 'value', most, true],
    [executed, 'value', most + 1, false],
    [executed, 'value', 0, false],
    [executed, 'value', '1', false],
    [executed, 'fee', 0, true],
    [executed, 'fee', -1, false],
    [position, 'realized_pnl', -most, true],
    [position, 'realized_pnl', -most - 1, false],
    [position, 'quantity', 0, true],
  ] as const) {
    it(`${fits ? 'take' : 'refuse'} ${member} ${JSON.stringify(value)}`, () => {
      const check = () => assertData(contract, { ...sampleOf(contract), [member]: value });
      if (fits) check();
      else assert.throws(check, ContractViolationError);
    });
  }
});
