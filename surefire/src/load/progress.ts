/**
 * Progress on stderr: one line that is rewritten up to ten times a second on a terminal, a line every few
 * seconds elsewhere, nothing for `--json`.
 */
import { grouped } from '../terminal.ts';

export interface Progress {
  update(done: number): void;
  /** Shows the final state and leaves the line. */
  finish(done: number): void;
}

export type ProgressState = { label: string; done: number; total: number; elapsedMs: number };

/** `deposits  [██████······]  4,213 / 10,000  6,120/s  1 s left` in at most `width` columns. */
export function progressLine(state: ProgressState, width: number): string {
  const { label, done, total, elapsedMs } = state;
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const perSecond = elapsedMs <= 0 ? 0 : (done / elapsedMs) * 1_000;
  const figures = `${grouped(done)} / ${grouped(total)}  ${grouped(perSecond)}/s  ${timeLeft(state, perSecond)}`;
  const barWidth = Math.min(30, width - label.length - figures.length - 6);
  if (barWidth < 5) return `${label}  ${figures}`.slice(0, width);
  const filled = Math.floor(share * barWidth);
  return `${label}  [${'█'.repeat(filled)}${'·'.repeat(barWidth - filled)}]  ${figures}`;
}

function timeLeft({ done, total, elapsedMs }: ProgressState, perSecond: number): string {
  if (done >= total) return `in ${(elapsedMs / 1_000).toFixed(1)} s`;
  if (perSecond === 0) return 'waiting';
  const seconds = Math.ceil((total - done) / perSecond);
  if (seconds < 60) return `${seconds} s left`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s left`;
  return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min left`;
}

const REWRITE_EVERY_MS = 100;
const LINE_EVERY_MS = 3_000;

export function createProgress(options: {
  label: string;
  total: number;
  quiet: boolean;
  stream?: NodeJS.WriteStream;
}): Progress {
  const { label, total, quiet } = options;
  const stream = options.stream ?? process.stderr;
  const startedAt = performance.now();
  let shownAt = stream.isTTY ? -Infinity : startedAt;
  let finished = false;

  function line(done: number): string {
    const elapsedMs = performance.now() - startedAt;
    return progressLine({ label, done, total, elapsedMs }, stream.isTTY ? (stream.columns || 80) - 1 : 100);
  }
  function show(done: number): void {
    shownAt = performance.now();
    // Erasing to the end of the line rather than the line itself: that would flicker.
    stream.write(stream.isTTY ? `\r${line(done)}\x1b[K` : `${line(done)}\n`);
  }

  return {
    update(done) {
      if (quiet || finished) return;
      if (performance.now() - shownAt >= (stream.isTTY ? REWRITE_EVERY_MS : LINE_EVERY_MS)) show(done);
    },
    finish(done) {
      if (quiet || finished) return;
      finished = true;
      show(done);
      if (stream.isTTY) stream.write('\n');
    },
  };
}
