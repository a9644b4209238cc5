/** The API: whether it answers, or who else sits on its port. */
import { connect as openSocket } from 'node:net';
import type { Config } from '@surefire/service';
import { examineArea, type Finding } from './finding.ts';

const ANSWER_LIMIT_MS = 3_000;

export async function examineApi(
  findings: Finding[],
  context: { config: Config; url: string },
): Promise<void> {
  const { config, url } = context;
  await examineArea('api', findings, async (write) => {
    if (config.http.port === 0) {
      write.ok('SUREFIRE_HTTP_PORT is 0: each start chooses a port of its own.');
      return;
    }
    const live = await ask(`${url}/livez`);
    if (live === undefined) {
      if (await isOpen(new URL(url))) {
        write.fault(
          `Another program listens on ${url} and does not speak as Surefire does.`,
          'Stop it, or set SUREFIRE_HTTP_PORT.',
        );
        return;
      }
      write.warn(`Nothing listens on ${url}.`, 'Normal while the platform is stopped: npm start starts it.');
      return;
    }
    if (live.body?.status !== 'live' && live.body?.status !== 'stuck') {
      write.fault(`Another program listens on ${url}.`, 'Stop it, or set SUREFIRE_HTTP_PORT.');
      return;
    }
    if (live.body.status === 'stuck') {
      write.fault(
        'The API is alive but stuck: its event loop is late.',
        'Give it more processor, or run more of it.',
      );
    }
    const ready = await ask(`${url}/readyz`);
    if (ready?.status === 200) {
      write.ok(`The API at ${url} is ready.`);
      return;
    }
    const checks = Object.entries((ready?.body?.checks ?? {}) as Record<string, string>)
      .filter(([, outcome]) => outcome !== 'ok')
      .map(([name, outcome]) => `${name} ${outcome}`);
    const why = checks.length === 0 ? textOf(ready?.body?.status) : checks.join(', ');
    write.fault(`The API at ${url} is not ready: ${why}.`, 'Its log says why.');
  });
}

const textOf = (status: unknown) => (typeof status === 'string' ? status : 'no answer');

type Reply = { status: number; body: Record<string, unknown> | undefined };

/** Undefined when there is no HTTP answer. */
async function ask(url: string): Promise<Reply | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_LIMIT_MS), redirect: 'manual' });
    const body: unknown = await response.json().catch(() => undefined);
    return {
      status: response.status,
      body: typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : undefined,
    };
  } catch {
    return undefined;
  }
}

function isOpen({ hostname, port }: URL): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = openSocket({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port || 80),
      timeout: ANSWER_LIMIT_MS,
    });
    const end = (open: boolean) => {
      socket.destroy();
      resolve(open);
    };
    socket
      .once('connect', () => end(true))
      .once('error', () => end(false))
      .once('timeout', () => end(false));
  });
}
