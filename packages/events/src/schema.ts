/**
 * A contract as a JSON Schema: what is committed for every version, published with the documentation, and compared
 * before anything changes. What is not about the shape of the data stands in members that begin with `x-`.
 */
import type { Contract } from './contract.ts';

/** As much of JSON Schema as contracts use. Anything else is kept, and compared by equality. */
export type JsonSchema = {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly [keyword: string]: unknown;
};

export type ContractSchema = JsonSchema & {
  /** `<domain>.<event>.v<major>`: the type without its namespace. */
  readonly title: string;
  readonly description: string;
  readonly 'x-delivery': string;
  readonly 'x-topic': string;
  readonly 'x-aggregate': string;
  /** The members of the data that the key is made of. */
  readonly 'x-key': readonly string[];
  readonly 'x-subject': readonly string[];
};

export function schemaOf(contract: Contract): ContractSchema {
  // As others will read it: without what TypeBox keeps beside the schema.
  const data = JSON.parse(JSON.stringify(contract.data)) as JsonSchema;
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: `${contract.name}.v${contract.version}`,
    description: contract.description,
    'x-delivery': contract.delivery,
    'x-topic': contract.topic,
    'x-aggregate': contract.aggregate,
    'x-key': membersReadBy((from) => contract.key(from)),
    'x-subject': membersReadBy((from) => contract.subject(from)),
    ...data,
  };
}

/** `DepositRequested` for `banking.deposit_requested`; with `Event` behind it, the name of its class elsewhere. */
export function classNameOf(contract: Contract): string {
  const [, event = ''] = contract.name.split('.');
  return event.replaceAll(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** Keys and subjects are functions of the data; which members they use is seen by letting them read. */
function membersReadBy(read: (data: Record<string, unknown>) => string): string[] {
  const members: string[] = [];
  read(new Proxy({}, { get: (_target, name) => members.push(String(name)) }));
  return members;
}
