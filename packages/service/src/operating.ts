/**
 * The routes for looking after the platform: what failed and what to do about it, where an event is, how far the
 * consumer groups are. For operators' keys only.
 */
import type { Queryable } from '@surefire/postgres';
import type { Http } from './http.ts';
import { consumerRoutes } from './operating/consumers.ts';
import { deadLetterRoutes } from './operating/dead-letters.ts';
import { outboxRoutes } from './operating/outbox.ts';

export { consumerBody } from './operating/consumers.ts';
export { deadLetterBody } from './operating/dead-letter-schemas.ts';
export { evidenceBody, listedEventBody } from './operating/outbox-schemas.ts';

export function operatingRoutes(app: Http, parts: { db: Queryable }): void {
  deadLetterRoutes(app, parts);
  outboxRoutes(app, parts);
  consumerRoutes(app, parts);
}
