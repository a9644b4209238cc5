/** Every module that owns tables, in the order in which their migrations run. */
import { bankingMigrations } from '@surefire/banking';
import { messagingMigrations } from '@surefire/messaging';
import type { MigrationModule } from '@surefire/postgres';
import { serviceMigrations } from '@surefire/service';

export const MIGRATIONS: readonly MigrationModule[] = [
  messagingMigrations,
  serviceMigrations,
  bankingMigrations,
];
