/** The roles as separate processes tell each other when there is something to do. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { testDatabase } from '@surefire/postgres/testing';
import { client } from './support/client.ts';
import { eventually, type Running, start } from './support/processes.ts';

const KEY = 'a-key-for-this-test';

/** `wakeups_total` of a process, by `channel outcome`. */
async function wakeups({ url }: Running): Promise<Record<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const lines = text.matchAll(/^wakeups_total\{channel="(\w+)",outcome="(\w+)"\} (\d+)/gm);
  return Object.fromEntries(
    [...lines].map(([, channel, outcome, n]) => [`${channel} ${outcome}`, Number(n)]),
  );
}

async function installation() {
  const database = await testDatabase();
  const dataDir = await mkdtemp(join(tmpdir(), 'surefire-e2e-'));
  return {
    env: {
      SUREFIRE_DATABASE_URL: database.url,
      SUREFIRE_DATA_DIR: dataDir,
      SUREFIRE_API_KEY: KEY,
      SUREFIRE_HTTP_PORT: '0',
    },
    async [Symbol.asyncDispose]() {
      await database.drop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

async function depositOnce(api: Running): Promise<void> {
  const bank = client({ url: () => api.url, key: KEY });
  const { body } = await bank.deposit(await bank.openAccount(), 7, 'once');
  assert.equal((await bank.settled(String(body['operation_id'])))['status'], 'completed');
}

it('a deposit accepted by one process is published by a second and settled by a third, each hinted', async () => {
  await using place = await installation();
  const { env } = place;
  // Whoever sends starts after whoever hears: it looks who is there at its first hint, then every few seconds.
  const banking = await start(['run', 'banking'], { env });
  const relay = await start(['run', 'relay'], { env });
  const api = await start(['run', 'api'], { env });
  // Hints that come together are sent together, so it takes a few deposits to see each of them.
  await eventually('hints everywhere', async () => {
    await depositOnce(api);
    const [sent, passed, heard] = await Promise.all([api, relay, banking].map(wakeups));
    return (
      (sent?.['outbox sent'] ?? 0) >= 2 &&
      (passed?.['outbox heard'] ?? 0) >= 2 &&
      (passed?.['bus sent'] ?? 0) >= 1 &&
      (heard?.['bus heard'] ?? 0) >= 1 &&
      (heard?.['outbox sent'] ?? 0) >= 1
    );
  });
  for (const each of [api, relay, banking]) assert.equal((await each.end('SIGTERM')).code, 0);
});

it('one process with every role hints nobody, though it listens', async () => {
  await using place = await installation();
  const { env } = place;
  const all = await start(['run', 'api', 'relay', 'banking'], { env });
  await depositOnce(all);
  assert.deepEqual(await wakeups(all), {});
  assert.equal((await all.end('SIGTERM')).code, 0);
});
