/** Remembers what the table said of a key: bounded, for a short time, and asking once however many wait. */
import type { KeyRow, Principal } from '../auth.ts';

export type KnownKey = { row: KeyRow; principal: Principal };

type Entry = { found: KnownKey | undefined; until: number };

export type KeyCacheOptions = {
  find: (sha256: Buffer) => Promise<KeyRow | undefined>;
  foundMs: number;
  unknownMs: number;
  /** For known and for unknown keys each, so that a flood of wrong keys pushes out no right one. */
  entriesMax: number;
};

export function createKeyCache({ find, foundMs, unknownMs, entriesMax }: KeyCacheOptions) {
  const known = new Map<string, Entry>();
  const unknown = new Map<string, Entry>();
  const underWay = new Map<string, Promise<KnownKey | undefined>>();

  async function ask(sha256: string): Promise<KnownKey | undefined> {
    // Counted from before the question: a revocation committed after the answer was read must not wait longer.
    const asked = performance.now();
    try {
      const row = await find(Buffer.from(sha256, 'hex'));
      if (row === undefined) {
        remember(unknown, sha256, { found: undefined, until: asked + unknownMs });
        return undefined;
      }
      const { principal_id: id, role, scopes } = row;
      const principal = Object.freeze({ id, role, scopes: Object.freeze([...scopes]) });
      const found = { row, principal };
      remember(known, sha256, { found, until: asked + foundMs });
      return found;
    } finally {
      underWay.delete(sha256);
    }
  }

  function remember(entries: Map<string, Entry>, sha256: string, entry: Entry): void {
    // A Map keeps the order of insertion, so its first key is the one used longest ago.
    entries.delete(sha256);
    if (entries.size >= entriesMax) entries.delete(entries.keys().next().value as string);
    entries.set(sha256, entry);
  }

  return {
    /** The key, `undefined` when there is none: at once if remembered, else from the table. */
    get(sha256: string): KnownKey | undefined | Promise<KnownKey | undefined> {
      const entries = known.has(sha256) ? known : unknown;
      const entry = entries.get(sha256);
      if (entry !== undefined) {
        if (performance.now() < entry.until) {
          // Only a filling cache needs to know which entries are in use.
          if (entries.size > entriesMax / 2) remember(entries, sha256, entry);
          return entry.found;
        }
        entries.delete(sha256);
      }
      let answer = underWay.get(sha256);
      if (answer === undefined) {
        answer = ask(sha256);
        underWay.set(sha256, answer);
      }
      return answer;
    },
  };
}
