/** Opaque page cursors: what they hold may change, so clients are given nothing to read. */
import { Problem } from '../problem.ts';

export function encodeCursor(position: string): string {
  return Buffer.from(position).toString('base64url');
}

/** The position in a cursor, checked against its pattern; undefined for the first page. */
export function decodeCursor(cursor: string | undefined, pattern: RegExp): string | undefined {
  if (cursor === undefined) return undefined;
  const position = Buffer.from(cursor, 'base64url').toString();
  if (!pattern.test(position) || encodeCursor(position) !== cursor) {
    throw new Problem('invalid-cursor', 'The cursor is not one that this route has given out.');
  }
  return position;
}

export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
