/** The ids a request is followed by: `X-Correlation-Id` (ours) and `traceparent` (W3C Trace Context). */
import { randomUUIDv7 } from 'node:crypto';

const TOKEN = /^[A-Za-z0-9._:-]{1,128}$/;

/** The client's id if it is a plain token of at most 128 characters, else a new UUIDv7. */
export function correlationIdOf(header: string | string[] | undefined): string {
  return typeof header === 'string' && TOKEN.test(header) ? header : randomUUIDv7();
}

const TRACEPARENT =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?<more>-.*)?$/;

/** The header if it is valid; an invalid one is ignored, as the recommendation asks (§3.2.2.3). */
export function traceparentOf(header: string | string[] | undefined): string | undefined {
  if (typeof header !== 'string' || header.length > 128) return undefined;
  const match = TRACEPARENT.exec(header);
  // Version 00 has exactly four fields; later ones may have more.
  if (match === null || (header.startsWith('00') && match.groups?.['more'] !== undefined)) return undefined;
  return header;
}
