/**
 * Banking: accounts, the double-entry ledger, operations.
 *
 * The `api` role answers HTTP; the `banking` role settles. Each is given its connections and knows nothing of
 * the other: all that passes between them passes through the outbox.
 */
import { fileURLToPath } from 'node:url';
import type { Catalogue } from '@surefire/events';
import { DepositRequested } from '@surefire/events';
import {
  type Bus,
  type Consumer,
  createConsumer,
  createOutbox,
  type Log,
  type MessagingMetrics,
  type Wake,
} from '@surefire/messaging';
import type { Database, MigrationModule } from '@surefire/postgres';
import type { Http } from '@surefire/service';
import { createDepositDesk } from './commands/accept-deposit.ts';
import { createAccountDesk } from './commands/open-account.ts';
import { createDepositSettlement, type SettledDeposit } from './commands/settle-deposits.ts';
import { accountRoutes } from './http/accounts.ts';
import { depositRoutes } from './http/deposits.ts';
import { operationRoutes } from './http/operations.ts';

export type { SettledDeposit } from './commands/settle-deposits.ts';

export const bankingMigrations: MigrationModule = {
  name: 'banking',
  directory: fileURLToPath(new URL('../migrations', import.meta.url)),
};

const SOURCE = '/surefire/banking';

/** Adds banking's routes to the server. `outboxWake` is hinted after every commit that appended events. */
export function bankingApi(
  app: Http,
  parts: {
    db: Database;
    catalogue: Catalogue;
    partitions: number;
    outboxWake: Wake;
    log: Log;
    /** Whether new commands are to be refused for now. */
    overloaded: () => boolean;
  },
): void {
  const { db, catalogue, partitions, outboxWake, log, overloaded } = parts;
  const outbox = createOutbox({ catalogue, partitions, source: SOURCE, wake: outboxWake });
  accountRoutes(app, { db, accounts: createAccountDesk({ db, outbox, partitions }), overloaded });
  depositRoutes(app, { deposits: createDepositDesk({ db, outbox, log }), overloaded });
  operationRoutes(app, { db });
}

/** The consumer group `banking`: settles what was requested. */
export function bankingConsumer(parts: {
  db: Database;
  bus: Bus;
  catalogue: Catalogue;
  partitions: number;
  log: Log;
  metrics: MessagingMetrics;
  /** Hinted when something was published in this process. */
  busWake: Wake;
  outboxWake: Wake;
  onSettled: (settled: readonly SettledDeposit[]) => void;
}): Consumer {
  const { db, bus, catalogue, partitions, log, metrics, busWake, outboxWake, onSettled } = parts;
  const outbox = createOutbox({ catalogue, partitions, source: SOURCE, wake: outboxWake });
  return createConsumer({
    db,
    bus,
    catalogue,
    log,
    metrics,
    wake: busWake,
    group: 'banking',
    contracts: [DepositRequested],
    apply: createDepositSettlement({ outbox, partitions, log, onSettled }),
  });
}
