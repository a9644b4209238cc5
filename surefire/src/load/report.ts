/** The outcome of a run: one value, which is the JSON document, and its rendering for people. */
import { grouped, type Paint } from '../terminal.ts';
import type { Check } from './verify.ts';

export type Report = {
  ok: boolean;
  verdict: string;
  run: string;
  seed: number;
  urls: string[];
  asked: {
    count: number;
    accounts: number;
    connections: number;
    amount: string;
    currency: string;
    rate?: number;
  };
  counts: {
    sent: number;
    accepted: number;
    replayed: number;
    retried: number;
    refused: Record<string, number>;
    unknown: number;
    completed: number;
    failed: number;
    events: number;
  };
  figures: {
    accept_seconds: number;
    accepted_per_second: number;
    /** By this client's monotonic clock, until it saw that everything was settled and published. */
    settle_seconds: number;
    settled_per_second: number;
    /** By the database's timestamps. */
    database_seconds?: number;
    database_settled_per_second?: number;
    latency_ms: { p50: number; p95: number; p99: number; max: number };
  };
  checks: Check[];
};

/** The last word on a run: the first check that fails decides. */
export function judge(checks: readonly Check[]): Pick<Report, 'ok' | 'verdict'> {
  const failed = checks.filter((check) => !check.ok);
  const first = failed[0];
  if (first === undefined) {
    return { ok: true, verdict: `All ${checks.length} checks hold: nothing lost, nothing doubled.` };
  }
  const offender = first.first === undefined ? '' : `; first: ${first.first}`;
  const sides = `${first.left.value} ${first.left.is}, ${first.right.value} ${first.right.is}`;
  const others = failed.length === 1 ? '' : ` (and ${failed.length - 1} more)`;
  return {
    ok: false,
    verdict: `${failed.length} of ${checks.length} checks fail: ${first.name}${others}: ${sides}${offender}`,
  };
}

export function perSecond(count: number, seconds: number): number {
  return seconds <= 0 ? 0 : Math.round((count / seconds) * 10) / 10;
}

export function renderReport(report: Report, paint: Paint): string {
  const { counts, figures } = report;
  const latency = figures.latency_ms;
  const refused = Object.entries(counts.refused).map(([slug, times]) => `${slug} ${grouped(times)}`);
  const rows: [string, string][] = [
    ['run', `${report.run}, seed ${report.seed}`],
    ['sent', grouped(counts.sent)],
    ['accepted', `${grouped(counts.accepted)} new, ${grouped(counts.replayed)} replayed`],
    ['retried', `${grouped(counts.retried)} requests`],
    ['refused', refused.length === 0 ? '0' : refused.join(', ')],
    ['unknown', grouped(counts.unknown)],
    ['settled', `${grouped(counts.completed)} completed, ${grouped(counts.failed)} failed`],
    ['events', grouped(counts.events)],
    ['accept', `${grouped(figures.accepted_per_second)}/s in ${figures.accept_seconds.toFixed(2)} s`],
    ['end to end', `${grouped(figures.settled_per_second)}/s in ${figures.settle_seconds.toFixed(2)} s`],
  ];
  if (figures.database_seconds !== undefined && figures.database_settled_per_second !== undefined) {
    const rate = grouped(figures.database_settled_per_second);
    rows.push(['by the database', `${rate}/s in ${figures.database_seconds.toFixed(2)} s`]);
  }
  rows.push([
    'accept latency',
    `p50 ${ms(latency.p50)}  p95 ${ms(latency.p95)}  p99 ${ms(latency.p99)}  max ${ms(latency.max)}`,
  ]);
  const width = Math.max(...rows.map(([name]) => name.length));
  return [
    ...rows.map(([name, value]) => `${paint('dim', name.padEnd(width))}  ${value}`),
    '',
    ...report.checks.map((check) => renderCheck(check, paint)),
    '',
    paint(report.ok ? 'green' : 'red', `${report.ok ? 'ok' : '✗'}  ${report.verdict}`),
  ].join('\n');
}

function renderCheck(check: Check, paint: Paint): string {
  const mark = check.ok ? paint('green', 'ok') : paint('red', '✗ ');
  const sides = `${shown(check.left.value)} ${check.left.is} ${check.ok ? '=' : '≠'} ${shown(check.right.value)} ${check.right.is}`;
  const offender = check.first === undefined ? '' : paint('red', `  first: ${check.first}`);
  return `${mark}  ${check.name}: ${paint('dim', sides)}${offender}`;
}

function shown(value: string): string {
  return /^[0-9]+$/.test(value) ? grouped(BigInt(value)) : value;
}

function ms(value: number): string {
  return value < 10 ? `${value.toFixed(2)} ms` : `${value.toFixed(0)} ms`;
}
