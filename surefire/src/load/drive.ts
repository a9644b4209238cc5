/** The client's side of a run: opens the accounts, then makes the deposits, each until it is answered. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CommandFailure, Interrupted } from '../failure.ts';
import { type Client, type Exchange, problemSlug } from './client.ts';
import { createHistogram, type Histogram } from './histogram.ts';
import type { Plan } from './plan.ts';
import { createReceipts, type Receipts } from './receipts.ts';

export type Driven = {
  receipts: Receipts;
  counts: DriveCounts;
  /** From the first attempt (or, with a rate, from the moment it was due) to the 2xx answer. */
  latency: Histogram;
  /** By `performance.now()`. */
  firstSentAt: number;
  lastAcknowledgedAt: number;
  /** Why requests were given up, if any were. */
  lastReason: string | undefined;
};

export type DriveCounts = {
  /** Deposits of which at least one request was sent. */
  sent: number;
  /** Acknowledged as new. */
  accepted: number;
  /** Acknowledged as seen before: an earlier request had succeeded and its answer was lost. */
  replayed: number;
  /** Definite refusals by problem. */
  refused: Record<string, number>;
  unknown: number;
};

export type DriveOptions = {
  client: Client;
  connections: number;
  signal: AbortSignal;
  onProgress: (done: number) => void;
};

/** Opens the run's accounts and answers their ids. Any failure ends the run: nothing was deposited yet. */
export async function openAccounts(
  options: DriveOptions & { count: number; owner: string; currency: string },
): Promise<string[]> {
  const { client, count } = options;
  const body = JSON.stringify({ owner: options.owner, currency: options.currency });
  const ids: string[] = Array.from({ length: count });
  let opened = 0;

  await inParallel({
    count,
    workers: options.connections,
    signal: options.signal,
    async each(number, lane) {
      const exchange = await client.post({ path: '/accounts', body, lane });
      options.signal.throwIfAborted();
      const id = exchange.outcome === 'answered' ? exchange.answer.body?.id : undefined;
      if (exchange.outcome !== 'answered' || exchange.answer.status !== 201 || typeof id !== 'string') {
        throw new CommandFailure(`The API opens no accounts: ${explain(exchange)}.`);
      }
      ids[number] = id;
      opened += 1;
      options.onProgress(opened);
    },
  });
  return ids;
}

/**
 * Makes every deposit of the plan. Ends early, and without throwing, when it has to give up requests and none
 * has been answered for as long.
 */
export async function makeDeposits(
  options: DriveOptions & {
    plan: Plan;
    accountIds: readonly string[];
    rate?: number | undefined;
    giveUpAfterMs: number;
  },
): Promise<Driven> {
  const { client, plan, accountIds, rate } = options;
  const receipts = createReceipts(plan.count);
  const latency = createHistogram();
  const counts: DriveCounts = { sent: 0, accepted: 0, replayed: 0, refused: {}, unknown: 0 };
  const body = `{"amount":${plan.amount}}`;
  const firstSentAt = performance.now();
  let lastAnswerAt = firstSentAt;
  let lastAcknowledgedAt = firstSentAt;
  let lastReason: string | undefined;
  let answered = 0;
  const ended = new AbortController();

  await inParallel({
    count: plan.count,
    workers: options.connections,
    signal: AbortSignal.any([options.signal, ended.signal]),
    async each(number, lane) {
      const dueAt = rate === undefined ? performance.now() : firstSentAt + (number / rate) * 1_000;
      const early = dueAt - performance.now();
      if (early > 1) await sleep(early, undefined, { signal: options.signal });
      counts.sent += 1;
      const exchange = await client.post({
        path: `/accounts/${accountIds[plan.accountOf(number)]}/deposit`,
        body,
        idempotencyKey: plan.keyOf(number),
        lane,
      });
      const now = performance.now();
      if (exchange.outcome === 'unknown') {
        receipts.note(number, 'unknown');
        counts.unknown += 1;
        lastReason = exchange.reason;
        if (now - lastAnswerAt > options.giveUpAfterMs) ended.abort();
        return;
      }
      const { answer } = exchange;
      const operationId = answer.body?.operation_id;
      lastAnswerAt = now;
      answered += 1;
      if (answer.status < 300 && typeof operationId === 'string') {
        receipts.acknowledge(number, operationId);
        if (answer.replayed) counts.replayed += 1;
        else counts.accepted += 1;
        latency.record(now - dueAt);
        lastAcknowledgedAt = now;
      } else {
        receipts.note(number, 'refused');
        const slug = problemSlug(answer);
        counts.refused[slug] = (counts.refused[slug] ?? 0) + 1;
      }
      options.onProgress(answered);
    },
  }).catch((error: unknown) => {
    if (!ended.signal.aborted || options.signal.aborted) throw error;
  });
  return { receipts, counts, latency, firstSentAt, lastAcknowledgedAt, lastReason };
}

/** `each` for 0 … count-1, by so many workers side by side. The first error stops all and is thrown. */
async function inParallel(options: {
  count: number;
  workers: number;
  signal: AbortSignal;
  each: (number: number, worker: number) => Promise<void>;
}): Promise<void> {
  const { count, signal, each } = options;
  let next = 0;
  let failed = false;

  async function work(worker: number): Promise<void> {
    while (next < count && !failed) {
      if (signal.aborted) throw new Interrupted();
      const number = next;
      next += 1;
      try {
        await each(number, worker);
      } catch (error) {
        failed = true;
        throw signal.aborted ? new Interrupted() : error;
      }
    }
  }
  const outcomes = await Promise.allSettled(
    Array.from({ length: Math.min(options.workers, count) }, (_, worker) => work(worker)),
  );
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

function explain(exchange: Exchange): string {
  if (exchange.outcome === 'unknown') return exchange.reason;
  const { status, body } = exchange.answer;
  const { title, detail } = (body ?? {}) as { title?: string; detail?: string };
  const words = [title, detail].filter((text) => typeof text === 'string' && text !== '').join(': ');
  const advice = status === 401 ? '; give a valid key with --api-key or SUREFIRE_API_KEY' : '';
  return `it answered ${status}${words === '' ? '' : ` (${words.replace(/\.$/, '')})`}${advice}`;
}
