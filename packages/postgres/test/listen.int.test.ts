import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection, createServer, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { connect, type ListenOptions, listen } from '../src/index.ts';
import { testDatabase } from '../src/testing.ts';

type Heard = { channel: string; payload: string | undefined };

/** A listener whose calls can be awaited one by one. */
function listener(options: Omit<ListenOptions, 'onNotify' | 'onError'>) {
  const heard: Heard[] = [];
  const errors: Error[] = [];
  let changed = Promise.withResolvers<void>();
  const change = () => {
    changed.resolve();
    changed = Promise.withResolvers();
  };
  const listening = listen({
    ...options,
    onNotify(channel, payload) {
      heard.push({ channel, payload });
      change();
    },
    onError(error) {
      errors.push(error);
      change();
    },
  });
  return {
    heard,
    errors,
    close: () => listening.close(),
    async until(condition: () => boolean): Promise<void> {
      while (!condition()) await changed.promise;
    },
    [Symbol.asyncDispose]: () => listening.close(),
  };
}

async function place() {
  const database = await testDatabase();
  const db = connect({ url: database.url, max: 2 });
  return {
    db,
    url: database.url,
    notify: (channel: string, payload: string) => db.query('select pg_notify($1, $2)', [channel, payload]),
    sessions: async () =>
      (
        await db.query<{ pid: number; state: string; xmin: string | null; transaction: Date | null }>(
          `select pid, state, backend_xmin::text as xmin, xact_start as transaction from pg_stat_activity
            where datname = current_database() and application_name = 'surefire listen'`,
        )
      ).rows,
    async [Symbol.asyncDispose]() {
      await db.close();
      await database.drop();
    },
  };
}

/** Stands between client and server; a frozen one keeps its sockets open and passes nothing on. */
async function proxy(target: URL) {
  const sockets = new Set<Socket>();
  let frozen = 0;
  let connections = 0;
  const server = createServer((client) => {
    const mine = connections++;
    const upstream = createConnection({ host: target.hostname, port: Number(target.port) });
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on('data', (chunk) => void (mine >= frozen && to.write(chunk)));
      from.on('close', () => mine >= frozen && to.destroy());
      from.on('error', () => from.destroy());
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = new URL(target);
  url.port = String((server.address() as { port: number }).port);
  return {
    url: url.href,
    /** All connections there are; later ones work. */
    freeze: () => void (frozen = connections),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

const every = (channel: string): Heard => ({ channel, payload: undefined });

describe('a listener', { timeout: 30_000 }, () => {
  it('counts its connecting as a notification of every channel, then hears what is sent, in order', async () => {
    await using at = await place();
    await using hears = listener({ url: at.url, channels: ['one', 'Two "quoted"'] });
    await hears.until(() => hears.heard.length === 2);
    await at.notify('Two "quoted"', 'a');
    await at.notify('unknown', 'b');
    await at.notify('one', '');
    await hears.until(() => hears.heard.length === 4);
    assert.deepEqual(hears.heard, [
      every('one'),
      every('Two "quoted"'),
      { channel: 'Two "quoted"', payload: 'a' },
      { channel: 'one', payload: '' },
    ]);
    assert.deepEqual(hears.errors, []);
  });

  it('holds nothing back: it is idle outside any transaction, also after a check', async () => {
    await using at = await place();
    await using hears = listener({ url: at.url, channels: ['one'], checkEveryMs: 1 });
    await hears.until(() => hears.heard.length === 1);
    for (let look = 0; look < 200; look += 1) {
      const [session] = await at.sessions();
      if (session?.state !== 'idle') continue; // a check is running just now
      assert.equal(session.xmin, null);
      assert.equal(session.transaction, null);
      return;
    }
    assert.fail('never seen idle');
  });

  it('connects again when its connection is ended, and then counts every channel as notified', async () => {
    await using at = await place();
    await using hears = listener({ url: at.url, channels: ['one'] });
    await hears.until(() => hears.heard.length === 1);
    await at.db.query(`select pg_terminate_backend(pid) from pg_stat_activity
                        where datname = current_database() and application_name = 'surefire listen'`);
    await hears.until(() => hears.heard.length === 2);
    assert.equal(hears.errors.length, 1);
    await at.notify('one', 'again');
    await hears.until(() => hears.heard.length === 3);
    assert.deepEqual(hears.heard, [every('one'), every('one'), { channel: 'one', payload: 'again' }]);
  });

  it('finds out that a socket has died without a word, and replaces it', async () => {
    await using at = await place();
    await using between = await proxy(new URL(at.url));
    await using hears = listener({ url: between.url, channels: ['one'], checkEveryMs: 20, timeoutMs: 200 });
    await hears.until(() => hears.heard.length === 1);
    between.freeze();
    await hears.until(() => hears.heard.length === 2);
    assert.match(hears.errors[0]?.message ?? '', /timeout/i);
    await at.notify('one', 'alive');
    await hears.until(() => hears.heard.some(({ payload }) => payload === 'alive'));
  });

  it('goes on trying while there is no server, and can be closed meanwhile', async () => {
    const hears = listener({ url: 'postgres://nobody@127.0.0.1:1/none', channels: ['one'], backoffMaxMs: 5 });
    await hears.until(() => hears.errors.length >= 3);
    await hears.close();
    assert.deepEqual(hears.heard, []);
  });

  it('closes soon while it connects to a server that never answers', async () => {
    const silent = createServer();
    await once(silent.listen(0, '127.0.0.1'), 'listening');
    const { port } = silent.address() as { port: number };
    const accepted = once(silent, 'connection');
    const url = `postgres://nobody@127.0.0.1:${port}/none`;
    const hears = listener({ url, channels: ['one'], timeoutMs: 20_000 });
    const [socket] = (await accepted) as [Socket];
    const before = performance.now();
    await hears.close();
    assert.ok(performance.now() - before < 5_000);
    socket.destroy();
    silent.close();
  });

  it('may be closed twice, leaves no session behind, and hears nothing more', async () => {
    await using at = await place();
    const hears = listener({ url: at.url, channels: ['one'] });
    await hears.until(() => hears.heard.length === 1);
    await Promise.all([hears.close(), hears.close()]);
    await hears.close();
    while ((await at.sessions()).length > 0); // the server needs a moment to see it
    await at.notify('one', 'late');
    assert.equal(hears.heard.length, 1);
    assert.deepEqual(hears.errors, []);
  });
});
