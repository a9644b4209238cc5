/** A platform in small: a relay, and consumers that write what they apply into a table of the test. */
import type { Database } from '@surefire/postgres';
import { SET_BASED } from '@surefire/postgres';
import {
  type Consumer,
  type ConsumerOptions,
  createConsumer,
  createOutbox,
  createPostgresBus,
  createRelay,
  createWake,
} from '../src/index.ts';
import { Happened, happened, messagingDatabase, scalar, testCatalogue, testLog } from './support.ts';

export const outbox = createOutbox({ catalogue: testCatalogue, source: '/surefire/test', partitions: 16 });

export async function platform() {
  const database = await messagingDatabase();
  const { db } = database;
  await db.query('create table applied (consumer text, key text, n int, at bigserial)');
  const log = testLog();
  const busWake = createWake();
  const outboxWake = createWake();
  const relay = createRelay({
    db: database.connect(SET_BASED),
    log,
    wake: outboxWake,
    onPublished: () => busWake.notify(),
    pauseMaxMs: 20,
  });
  await relay.start();
  const consumers: Consumer[] = [];

  return {
    db,
    log,
    connect: database.connect,
    append: async (key: string, ...numbers: number[]) => {
      await db.transaction((tx) =>
        outbox.append(
          tx,
          numbers.map((n) => happened(key, n)),
        ),
      ); // one transaction
      outboxWake.notify();
    },
    consumer(group: string, options: Partial<ConsumerOptions> = {}): Consumer {
      const consumer = createConsumer({
        db: database.connect(),
        bus: createPostgresBus({
          db: database.connect(SET_BASED),
          catalogue: testCatalogue,
          log,
          leaseTtlMs: 400,
        }),
        catalogue: testCatalogue,
        group,
        contracts: [Happened],
        log,
        wake: busWake,
        pauseMaxMs: 20,
        apply: async (tx, received) => {
          await tx.query(
            `insert into applied (consumer, key, n)
             select $1, key, n from unnest($2::text[], $3::int[]) taken (key, n)`,
            [
              group,
              received.map(({ event: each }) => (each.data as { key: string }).key),
              received.map(({ event: each }) => (each.data as { n: number }).n),
            ],
          );
        },
        ...options,
      });
      consumers.push(consumer);
      return consumer;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(consumers.map((consumer) => consumer.stop()));
      await relay.stop();
      await database[Symbol.asyncDispose]();
    },
  };
}

export async function applied(db: Database, group: string, key: string): Promise<number[]> {
  const { rows } = await db.query<{ n: number }>(
    'select n from applied where consumer = $1 and key = $2 order by at',
    [group, key],
  );
  return rows.map((row) => row.n);
}

export const count = (db: Database, group: string) =>
  scalar(db, 'select count(*) from applied where consumer = $1', [group]);
