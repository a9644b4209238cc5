/**
 * An HTTP client that keeps its word: it repeats the *same* request until it has a definite answer or has to
 * give up, so that processes of the platform may be killed and restarted while it runs. Spreads over several
 * base URLs and fails over between them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Dispatcher, Pool } from 'undici';

export type Answer = {
  status: number;
  /** Parsed JSON, or undefined when it was none. */
  body: Record<string, unknown> | undefined;
  replayed: boolean;
};

export type Exchange =
  | { readonly outcome: 'answered'; readonly answer: Answer; readonly attempts: number }
  /** Given up: it may have had its effect or not. `reason` is the last thing that went wrong. */
  | { readonly outcome: 'unknown'; readonly reason: string; readonly attempts: number };

export type Post = {
  path: string;
  body: string;
  idempotencyKey?: string;
  /** Whoever sends one request after the other passes the same number: it keeps to its own URL while it can. */
  lane: number;
};

export interface Client {
  /** Resolves in any case. Does not repeat what was answered with a 2xx, 3xx or definite 4xx. */
  post(request: Post): Promise<Exchange>;
  close(): Promise<void>;
}

export type ClientOptions = {
  urls: readonly string[];
  apiKey: string | undefined;
  connections: number;
  /** For how long one request is repeated. */
  giveUpAfterMs: number;
  /** Longest wait for one answer. Default 15 s. */
  answerLimitMs?: number;
  signal: AbortSignal;
  onRetry?: () => void;
};

type Target = { pool: Pool; prefix: string; restsUntil: number };

const BACKOFF = { baseMs: 20, capMs: 2_000 };
/** After a fault a URL is left alone for so long, if there is another. */
const REST_MS = 500;
const ANSWER_BYTES_MAX = 1_048_576;

export function createClient(options: ClientOptions): Client {
  const { signal } = options;
  const answerLimitMs = options.answerLimitMs ?? 15_000;
  const targets: Target[] = options.urls.map((url) => ({
    pool: new Pool(new URL(url).origin, {
      connections: options.connections,
      pipelining: 1,
      connect: { timeout: 5_000 },
      headersTimeout: answerLimitMs,
      bodyTimeout: answerLimitMs,
    }),
    prefix: new URL(url).pathname.replace(/\/$/, ''),
    restsUntil: 0,
  }));
  const common = {
    'content-type': 'application/json',
    'user-agent': 'surefire-load',
    ...(options.apiKey === undefined ? {} : { 'x-api-key': options.apiKey }),
  };

  function choose(lane: number, attempt: number): Target {
    const now = performance.now();
    for (let step = 0; step < targets.length; step++) {
      const target = targets[(lane + step) % targets.length] as Target;
      if (target.restsUntil <= now) return target;
    }
    return targets[(lane + attempt) % targets.length] as Target;
  }

  async function post({ path, body, idempotencyKey, lane }: Post): Promise<Exchange> {
    const startedAt = performance.now();
    const headers = idempotencyKey === undefined ? common : { ...common, 'idempotency-key': idempotencyKey };
    for (let attempts = 1; ; attempts++) {
      const target = choose(lane, attempts);
      let reason: string;
      let waitMs = Math.random() * Math.min(BACKOFF.capMs, BACKOFF.baseMs * 2 ** attempts);
      try {
        const { retryAfterMs, ...answer } = await send(target.pool, {
          method: 'POST',
          path: target.prefix + path,
          headers,
          body,
        });
        if (!isPassing(answer.status)) return { outcome: 'answered', answer, attempts };
        reason = `it answered ${answer.status}${slugOf(answer)}`;
        // What the server asks for, within what we are prepared to wait.
        waitMs += Math.min(retryAfterMs ?? 0, BACKOFF.capMs);
      } catch (error) {
        reason = reasonOf(error);
      }
      target.restsUntil = performance.now() + REST_MS;
      if (signal.aborted || performance.now() - startedAt + waitMs > options.giveUpAfterMs) {
        return { outcome: 'unknown', reason, attempts };
      }
      await sleep(waitMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return { outcome: 'unknown', reason, attempts };
      options.onRetry?.();
    }
  }

  return {
    post,
    async close() {
      await Promise.all(targets.map(({ pool }) => pool.destroy()));
    },
  };
}

/** Whether the same request may well be answered otherwise a little later. */
function isPassing(status: number): boolean {
  return status >= 500 || status === 408 || status === 425 || status === 429;
}

/** The last word of a problem's type, e.g. `account-frozen`. */
export function problemSlug({ status, body }: Pick<Answer, 'status' | 'body'>): string {
  const type = typeof body?.type === 'string' ? body.type : '';
  return type.slice(type.lastIndexOf(':') + 1) || `http-${status}`;
}

function slugOf(answer: Answer): string {
  const slug = problemSlug(answer);
  return slug.startsWith('http-') ? '' : ` (${slug})`;
}

function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  if (code === 'ECONNREFUSED') return 'the connection was refused';
  if (code === 'ECONNRESET' || code === 'UND_ERR_SOCKET' || code === 'EPIPE') return 'the connection broke';
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') return 'no answer came in time';
  return message || code || 'unknown error';
}

/**
 * The dispatcher's own interface instead of `request()`: its streams would cost more time than the answer,
 * and the client shares its processors with the platform that it measures.
 */
function send(
  pool: Pool,
  request: Dispatcher.DispatchOptions,
): Promise<Answer & { retryAfterMs: number | undefined }> {
  return new Promise((resolve, reject) => {
    let status = 0;
    let replayed = false;
    let retryAfterMs: number | undefined;
    const chunks: Buffer[] = [];
    let bytes = 0;
    pool.dispatch(request, {
      onRequestStart() {},
      onResponseStart(_controller, statusCode, headers) {
        status = statusCode;
        replayed = headers['idempotent-replayed'] === 'true';
        const seconds = Number(headers['retry-after']);
        if (Number.isFinite(seconds)) retryAfterMs = seconds * 1_000;
      },
      onResponseData(controller, chunk) {
        bytes += chunk.length;
        if (bytes > ANSWER_BYTES_MAX)
          controller.abort(new Error(`the answer exceeds ${ANSWER_BYTES_MAX} bytes`));
        else chunks.push(chunk);
      },
      onResponseEnd() {
        resolve({ status, replayed, retryAfterMs, body: parse(Buffer.concat(chunks).toString()) });
      },
      onResponseError(_controller, error) {
        reject(error);
      },
    });
  });
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
