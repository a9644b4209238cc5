/**
 * The envelope: CloudEvents 1.0 (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md) with
 * the extensions `partitionkey` and `sequence` of the specification's own list, and ours.
 */
export type CloudEvent<Data = unknown> = {
  readonly specversion: '1.0';
  /** UUIDv7, minted when the event was appended. */
  readonly id: string;
  /** `<namespace>.<domain>.<event>.v<major>`. */
  readonly type: string;
  /** `/surefire/<service>`. */
  readonly source: string;
  /** The aggregate's id. */
  readonly subject: string;
  /** RFC 3339 with milliseconds, UTC. */
  readonly time: string;
  readonly datacontenttype: 'application/json';
  readonly partitionkey: string;
  /** The position in its topic and partition, zero-padded so that it sorts as text. */
  readonly sequence: string;
  readonly correlationid?: string;
  readonly causationid?: string;
  readonly idempotencykey?: string;
  readonly traceparent?: string;
  readonly data: Data;
};

const SEQUENCE_DIGITS = 20;

/** `sequence` of the CloudEvents "sequence" extension: comparable as text. */
export function formatSequence(position: bigint): string {
  return position.toString().padStart(SEQUENCE_DIGITS, '0');
}
