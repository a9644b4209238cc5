/**
 * The envelope: CloudEvents 1.0 (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md) with
 * the extensions `partitionkey` and `sequence` of the specification's own list, and ours.
 */
import { type Static, Type } from 'typebox';

/** The context attributes: everything of an event but its data. */
export const EventAttributes = Type.Object({
  specversion: Type.Literal('1.0'),
  id: Type.String({
    format: 'uuid',
    description: "UUIDv7, minted when the event is made: the outbox row's id, and what inboxes remember",
  }),
  type: Type.String({
    description:
      '`<namespace>.<domain>.<event>.v<major>`; the namespace is `SUREFIRE_EVENT_NAMESPACE`, or `surefire`',
  }),
  source: Type.String({ description: '`/surefire/<service>`' }),
  subject: Type.String({ description: 'The id of the aggregate' }),
  time: Type.String({ format: 'date-time', description: 'When it was appended, UTC with milliseconds' }),
  datacontenttype: Type.Literal('application/json'),
  partitionkey: Type.String({
    description: 'The key: events of one key keep their order, across the types of a topic',
  }),
  sequence: Type.String({
    pattern: '^[0-9]{20}$',
    description: 'The position in its topic and partition, zero-padded so that it sorts as text',
  }),
  correlationid: Type.Optional(
    Type.String({ description: 'The same on everything that one request caused' }),
  ),
  causationid: Type.Optional(Type.String({ description: 'The id of the event that led to this one' })),
  idempotencykey: Type.Optional(Type.String({ description: 'The key that the client sent' })),
  traceparent: Type.Optional(Type.String({ description: 'W3C trace context' })),
});

export type CloudEvent<Data = unknown> = Readonly<Static<typeof EventAttributes>> & { readonly data: Data };

const SEQUENCE_DIGITS = 20;

/** `sequence` of the CloudEvents "sequence" extension: comparable as text. */
export function formatSequence(position: bigint): string {
  return position.toString().padStart(SEQUENCE_DIGITS, '0');
}
