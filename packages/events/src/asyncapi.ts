/**
 * The catalogue as an AsyncAPI 3.0 document (https://www.asyncapi.com/docs/reference/specification/v3.0.0): a
 * channel per topic, a message per version of an event, and for each topic what is sent and what can be received.
 * A message's headers are the attributes of its CloudEvents envelope, its payload is the data.
 */
import type { Catalogue } from './catalogue.ts';
import type { Contract, Delivery } from './contract.ts';
import { EventAttributes } from './envelope.ts';
import { classNameOf, type JsonSchema, schemaOf } from './schema.ts';

type Reference = { $ref: string };
type Message = {
  name: string;
  title: string;
  summary: string;
  contentType: string;
  headers: JsonSchema;
  payload: Reference;
  correlationId: { location: string };
  tags: { name: string }[];
};
type Channel = {
  address: string;
  title: string;
  description: string;
  messages: Record<string, Reference>;
};
type Operation = { action: 'send' | 'receive'; channel: Reference; summary: string };

export type AsyncApiDocument = {
  asyncapi: '3.0.0';
  info: { title: string; version: string; description: string };
  defaultContentType: string;
  channels: Record<string, Channel>;
  operations: Record<string, Operation>;
  components: { messages: Record<string, Message>; schemas: Record<string, JsonSchema> };
};

const DELIVERY: Readonly<Record<Delivery, string>> = {
  critical: 'Never lost: committed with the change it tells of, and applied once by every consumer group.',
  'best-effort': 'Fired and perhaps dropped: for what is not worth a delay.',
};

/** `version` is that of the program that serves the document. */
export function asyncApi(options: { catalogue: Catalogue; version: string }): AsyncApiDocument {
  const { catalogue, version } = options;
  const { namespace, contracts, topics } = catalogue;
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Surefire events',
      version,
      description:
        'CloudEvents 1.0. Events of one `partitionkey` keep their order, across all messages of a channel. ' +
        'Consumers allow members they do not know: they are newer. Amounts are integer minor units.',
    },
    defaultContentType: 'application/json',
    channels: Object.fromEntries(
      topics.map((topic) => [
        topic,
        channelOf({ topic, namespace, contracts: contracts.filter((contract) => contract.topic === topic) }),
      ]),
    ),
    operations: Object.fromEntries(topics.flatMap(operationsOn)),
    components: {
      messages: Object.fromEntries(
        contracts.map((contract) => [nameOf(contract), messageOf(contract, catalogue.typeOf(contract))]),
      ),
      schemas: {
        attributes: plain(EventAttributes),
        ...Object.fromEntries(contracts.map((contract) => [nameOf(contract), payloadOf(contract)])),
      },
    },
  };
}

function channelOf(options: { topic: string; namespace: string; contracts: readonly Contract[] }): Channel {
  const { topic, namespace, contracts } = options;
  const lanes = [...new Set(contracts.map(({ delivery }) => delivery))];
  return {
    address: `${namespace}.${topic}`,
    title: topic,
    description: lanes.map((lane) => DELIVERY[lane]).join(' '),
    messages: Object.fromEntries(
      contracts.map((contract) => [nameOf(contract), reference('messages', nameOf(contract))]),
    ),
  };
}

function operationsOn(topic: string): [string, Operation][] {
  const channel = { $ref: `#/channels/${topic}` };
  return [
    [`send_${topic}`, { action: 'send', channel, summary: `The service that owns ${topic} sends them.` }],
    [`receive_${topic}`, { action: 'receive', channel, summary: 'Any consumer group may receive them.' }],
  ];
}

function messageOf(contract: Contract, type: string): Message {
  return {
    name: type,
    title: classNameOf(contract),
    summary: contract.description,
    contentType: 'application/json',
    headers: {
      allOf: [reference('schemas', 'attributes'), { type: 'object', properties: { type: { const: type } } }],
    },
    payload: reference('schemas', nameOf(contract)),
    correlationId: { location: '$message.header#/correlationid' },
    tags: [{ name: contract.delivery }],
  };
}

/** AsyncAPI says itself which dialect of JSON Schema its schemas are. */
function payloadOf(contract: Contract): JsonSchema {
  const { $schema: _dialect, ...schema } = schemaOf(contract);
  return schema;
}

/** `banking.deposit_requested.v1`. */
function nameOf(contract: Contract): string {
  return `${contract.name}.v${contract.version}`;
}

function reference(kind: 'messages' | 'schemas', name: string): Reference {
  return { $ref: `#/components/${kind}/${name}` };
}

function plain(schema: object): JsonSchema {
  return JSON.parse(JSON.stringify(schema)) as JsonSchema;
}
