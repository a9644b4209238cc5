/**
 * JSON as strictly as money needs it.
 *
 * `JSON.parse` is silent about what matters here: of two equal keys the last wins, `1e3`, `1.0` and
 * 9007199254740993 become other numbers than were written, half surrogates and NUL pass. So the native parser
 * checks the grammar, and one pass over the text, which may then rely on it, checks the rest. That pass allocates
 * nothing but keys; escapes, rare as they are, take a slower way.
 */
import { isUtf8 } from 'node:buffer';
import { Problem } from '../problem.ts';

export const DEPTH_MAX = 32;
export const MEMBERS_MAX = 1_000;

/** Members that hold money. Their faults are told as `amount-format` and `amount-out-of-range`. */
export const AMOUNT_KEY = /^(?:.*_)?(?:amount|price|bid|ask)$/;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const BYTE_ORDER_MARK = 0xfeff;

/**
 * Parses one UTF-8 JSON document whose numbers are all integers in plain digits within ±(2^53-1).
 * @throws Problem `malformed-text`, `malformed-json`, `duplicate-key`, `forbidden-key`, `too-deep`,
 *   `too-many-members`, `amount-format` or `schema-violation`, with the place in `detail`.
 */
export function parseJsonBody(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) throw new Problem('malformed-text', 'The body is not valid UTF-8.');
  const text = bytes.toString('utf8');
  if (text.charCodeAt(0) === BYTE_ORDER_MARK) {
    throw new Problem('malformed-json', 'The body begins with a byte order mark.');
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    const detail = text.trim() === '' ? 'The body is empty.' : 'The body is not one complete JSON document.';
    throw new Problem('malformed-json', detail);
  }
  checkText(text);
  return value;
}

/** One open object or array: the key being read, and the keys seen (`undefined` in an array). */
type Level = { key: string; keys: Set<string> | undefined };

/** Checks what the grammar allows and we do not. `text` is known to be valid JSON. */
function checkText(text: string): void {
  const levels: Level[] = [];
  let level: Level | undefined;
  let members = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === QUOTE) {
      const end = stringEnd(text, index + 1);
      const content = end < 0 ? unescaped(text, index, -end, levels) : text.slice(index + 1, end);
      const after = pastSpace(text, Math.abs(end) + 1);
      // In valid JSON a string before a colon is a key, and stands directly in an object.
      if (text.charCodeAt(after) === COLON) enterKey(content, level as Level, levels);
      index = after - 1;
    } else if (code === COMMA) {
      if (++members > MEMBERS_MAX) throw new Problem('too-many-members');
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      if (++members > MEMBERS_MAX) throw new Problem('too-many-members');
      if (levels.length === DEPTH_MAX) throw new Problem('too-deep');
      level = { key: '', keys: code === OPEN_BRACE ? new Set() : undefined };
      levels.push(level);
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      levels.pop();
      level = levels.at(-1);
    } else if (code === MINUS || (code >= ZERO && code <= NINE)) {
      const end = numberEnd(text, index + 1);
      if (end < 0 || !isPlainInteger(text, index, end)) refuseNumber(text, index, levels);
      index = end - 1;
    }
  }
}

/** The index of the closing quote; negative when a backslash came before it. */
function stringEnd(text: string, from: number): number {
  let escaped = false;
  for (let index = from; ; index++) {
    const code = text.charCodeAt(index);
    if (code === QUOTE) return escaped ? -index : index;
    if (code === BACKSLASH) {
      escaped = true;
      index++;
    }
  }
}

function unescaped(text: string, start: number, end: number, levels: readonly Level[]): string {
  const content = JSON.parse(text.slice(start, end + 1)) as string;
  if (!content.isWellFormed()) {
    throw new Problem('malformed-text', `${placeOf(levels)} holds half of a surrogate pair.`);
  }
  // PostgreSQL's text cannot hold it.
  if (content.includes('\0'))
    throw new Problem('malformed-text', `${placeOf(levels)} holds the character U+0000.`);
  return content;
}

function enterKey(key: string, level: Level, levels: readonly Level[]): void {
  level.key = key;
  if (key === '__proto__' || key === 'constructor' || key === 'prototype') {
    throw new Problem('forbidden-key', `${placeOf(levels)} has a forbidden name.`);
  }
  const keys = level.keys as Set<string>;
  if (keys.has(key)) throw new Problem('duplicate-key', `${placeOf(levels)} is given twice.`);
  keys.add(key);
}

function pastSpace(text: string, from: number): number {
  let index = from;
  // Only the four white-space characters of JSON can stand between tokens, and nothing else is below 0x21.
  while (text.charCodeAt(index) <= 0x20) index++;
  return index;
}

/** The index after the last digit; negative when the number goes on as a fraction or an exponent. */
function numberEnd(text: string, from: number): number {
  let index = from;
  let code = text.charCodeAt(index);
  while (code >= ZERO && code <= NINE) code = text.charCodeAt(++index);
  return code === 0x2e || code === 0x65 || code === 0x45 ? -1 : index;
}

const DIGITS_ALWAYS_SAFE = 15;

function isPlainInteger(text: string, start: number, end: number): boolean {
  if (text.charCodeAt(start) === MINUS && text.charCodeAt(start + 1) === ZERO) return false;
  return end - start <= DIGITS_ALWAYS_SAFE || Number.isSafeInteger(Number(text.slice(start, end)));
}

function refuseNumber(text: string, start: number, levels: readonly Level[]): never {
  const written = /^[-+.0-9eE]+/.exec(text.slice(start, start + 40))?.[0] ?? '';
  const key = levels.findLast(({ keys }) => keys !== undefined)?.key ?? '';
  const slug = AMOUNT_KEY.test(key) ? 'amount-format' : 'schema-violation';
  const detail = `${placeOf(levels)} must be an integer in plain digits within ±(2^53-1), not ${written}.`;
  throw new Problem(slug, detail);
}

/** A JSON Pointer (RFC 6901) as far as objects go: an array's index is not kept. */
function placeOf(levels: readonly Level[]): string {
  const pointer = levels.map(({ key, keys }) => (keys === undefined ? '/*' : `/${key}`)).join('');
  return pointer === '' ? 'The body' : `The member ${pointer.slice(0, 200)}`;
}
