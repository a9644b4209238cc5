/**
 * The form of issued keys: `sk_<environment>_<random>_<checksum>`, e.g.
 * `sk_live_8sJ0vYk2Qw7mZr4TnXb1LcDf5GhPaE3iKq_1aZ93x`. The prefix lets secret scanners find a leaked key, the
 * checksum tells a mistyped one without a lookup.
 */
import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const ISSUED = /^(?<body>sk_[a-z0-9]{1,16}_[0-9A-Za-z]{32,128})_(?<checksum>[0-9A-Za-z]{6})$/;

/** Random letters of a key: 36 of 62 carry 214 bits. */
const RANDOM_LENGTH = 36;

export function generateKey(environment: string): string {
  if (!/^[a-z0-9]{1,16}$/.test(environment))
    throw new Error(`${environment} is not the name of an environment`);
  const body = `sk_${environment}_${randomBase62(RANDOM_LENGTH)}`;
  return `${body}_${checksumOf(body)}`;
}

/** Whether the key has the form of an issued one and a wrong checksum. Other keys are not judged. */
export function isMistyped(key: string): boolean {
  const parts = ISSUED.exec(key)?.groups;
  return parts !== undefined && checksumOf(parts['body'] ?? '') !== parts['checksum'];
}

/** What may be shown of a key to tell it from others. */
export function prefixOf(key: string): string {
  const body = ISSUED.exec(key)?.groups?.['body'];
  return body === undefined ? `${key.slice(0, 4)}…` : body.slice(0, body.lastIndexOf('_') + 5);
}

/** CRC-32 in six digits of base 62 (62^6 > 2^32). */
function checksumOf(body: string): string {
  let rest = crc32(body);
  let digits = '';
  for (let index = 0; index < 6; index++) {
    digits = BASE62.charAt(rest % 62) + digits;
    rest = Math.floor(rest / 62);
  }
  return digits;
}

function randomBase62(length: number): string {
  let text = '';
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      // Bytes from 248 on are thrown away: taken modulo 62 they would favour the first letters.
      if (byte < 248 && text.length < length) text += BASE62.charAt(byte % 62);
    }
  }
  return text;
}
