/** Real processes of the platform: started as a user would, awaited by what they say, killed without mercy. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../../surefire/src/main.ts', import.meta.url));

export type Running = {
  readonly child: ChildProcess;
  /** Where it serves; known once it is ready. */
  readonly url: string;
  readonly stderr: () => string;
  readonly log: () => readonly Record<string, unknown>[];
  /** Ends it and resolves with how it ended. */
  end(signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL'): Promise<Ending>;
  readonly ended: Promise<Ending>;
};

export type Ending = { code: number | null; signal: NodeJS.Signals | null; seconds: number };

export type StartOptions = {
  env: Readonly<Record<string, string>>;
  /** Modules to load first. */
  imports?: readonly string[];
};

const READY_LIMIT_MS = 60_000;

/** Every process that a test of this file has started and that has not ended: a failed test leaves some. */
const alive = new Set<ChildProcess>();
after(() => {
  for (const child of alive) child.kill('SIGKILL');
});

/** Starts `surefire …args` and resolves when it says that it is ready. Rejects when it ends before. */
export async function start(args: readonly string[], options: StartOptions): Promise<Running> {
  const running = launch(args, options);
  const limit = setTimeout(() => running.child.kill('SIGKILL'), READY_LIMIT_MS);
  const early = running.ended.then(({ code, signal }) => {
    throw new Error(
      `surefire ${args.join(' ')} ended (${code ?? signal}) before it was ready:\n${running.stderr()}`,
    );
  });
  early.catch(() => undefined); // it may also end much later, and then nobody waits for this
  try {
    const { url } = await Promise.race([running.ready, early]);
    return { ...running, url };
  } finally {
    clearTimeout(limit);
  }
}

/** Runs `surefire …args` to its end. */
export async function run(
  args: readonly string[],
  options: StartOptions,
): Promise<Ending & { stdout: string; stderr: string }> {
  const running = launch(args, options);
  const ending = await running.ended;
  return { ...ending, stdout: running.stdout(), stderr: running.stderr() };
}

function launch(args: readonly string[], options: StartOptions) {
  const imports = (options.imports ?? []).map((module) => `--import=${module}`);
  const child = spawn(process.execPath, [...imports, PROGRAM, ...args], {
    env: { PATH: '/usr/bin:/bin', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  alive.add(child);
  let stdout = '';
  let stderr = '';
  const lines: Record<string, unknown>[] = [];
  const ready = Promise.withResolvers<{ url: string }>();
  let unfinished = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
    const parts = (unfinished + chunk).split('\n');
    unfinished = parts.pop() as string;
    for (const part of parts) {
      const line = parse(part);
      if (line === undefined) continue;
      lines.push(line);
      if (line['msg'] === 'ready') ready.resolve({ url: String(line['url']) });
    }
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  let signalledAt: number | undefined;
  const ended = once(child, 'close').then(([code, signal]): Ending => {
    alive.delete(child);
    const seconds = signalledAt === undefined ? 0 : (performance.now() - signalledAt) / 1_000;
    return { code: code as number | null, signal: signal as NodeJS.Signals | null, seconds };
  });
  return {
    child,
    url: '',
    ready: ready.promise,
    ended,
    stdout: () => stdout,
    stderr: () => stderr,
    log: () => lines,
    end(signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL'): Promise<Ending> {
      signalledAt ??= performance.now();
      child.kill(signal);
      return ended;
    },
  };
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

/** Resolves as soon as the condition holds; fails with `what` after `limitMs`. */
export async function eventually(
  what: string,
  condition: () => Promise<boolean> | boolean,
  limitMs = 30_000,
): Promise<void> {
  const limit = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > limit) throw new Error(`not within ${limitMs / 1_000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
