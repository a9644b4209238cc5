/**
 * PostgreSQL refuses to run as root. When we are root, its processes run under an account that is
 * there already; none is ever created on somebody's machine.
 */
import { type Stats, statSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { EmbeddedServerError } from './error.ts';

/** The account that server processes run under; undefined means our own. */
export type Owner = { uid: number; gid: number } | undefined;

const R = 4;
const X = 1;

export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** For a cluster that exists: whose it is. Else `postgres`, else `nobody`. */
export async function chooseOwner(folder: string): Promise<Owner> {
  if (!isRoot()) return undefined;
  // Each is a line name:password:uid:gid:… An account without one is of no use: initdb looks its name up.
  const accounts = (await readFile('/etc/passwd', 'utf8'))
    .split('\n')
    .map((line) => line.split(':'))
    .map(([name, , uid, gid]) => ({ name, uid: Number(uid) >>> 0, gid: Number(gid) >>> 0 }))
    .filter(({ uid }) => uid !== 0);
  const holder = await stat(folder).then(
    ({ uid }) => uid,
    () => 0,
  );
  const account =
    accounts.find(({ uid }) => uid === holder) ??
    accounts.find(({ name }) => name === 'postgres') ??
    accounts.find(({ name }) => name === 'nobody');
  if (!account) {
    throw new EmbeddedServerError(
      'PostgreSQL does not run as root, and this machine has neither a user postgres nor a user nobody; start as an ordinary user.',
    );
  }
  return { uid: account.uid, gid: account.gid };
}

/** Whether the owner may enter this folder and read what is in it, judged by permission bits alone. */
export function canReach(path: string, owner: Owner): boolean {
  if (!owner) return true;
  if (!allows(statSync(path), owner, R | X)) return false;
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if (!allows(statSync(folder), owner, X)) return false;
    if (folder === dirname(folder)) return true;
  }
}

function allows({ uid, gid, mode }: Stats, owner: NonNullable<Owner>, wanted: number): boolean {
  const shift = uid === owner.uid ? 6 : gid === owner.gid ? 3 : 0;
  return ((mode >> shift) & wanted) === wanted;
}
