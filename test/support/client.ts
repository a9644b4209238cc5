/** A client of the platform, as a backend team would write one: it repeats with the same key until it knows. */
export type Answer = { status: number; body: Record<string, unknown>; headers: Headers };

export function client(options: { url: () => string; key: string }) {
  async function ask(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const answer = await fetch(`${options.url()}${path}`, {
      method,
      headers: {
        'x-api-key': options.key,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(10_000),
    });
    return {
      status: answer.status,
      body: (await answer.json()) as Record<string, unknown>,
      headers: answer.headers,
    };
  }
  return {
    get: (path: string) => ask('GET', path),
    post: (path: string, body: unknown, headers?: Record<string, string>) => ask('POST', path, body, headers),
    async openAccount(owner = 'alice'): Promise<string> {
      const { status, body } = await ask('POST', '/accounts', { owner });
      if (status !== 201) throw new Error(`no account: ${status} ${JSON.stringify(body)}`);
      return String(body['id']);
    },
    deposit: (account: string, amount: unknown, key: string) =>
      ask('POST', `/accounts/${account}/deposit`, { amount }, { 'idempotency-key': key }),
    /** Waits until the operation has ended. */
    async settled(operation: string): Promise<Record<string, unknown>> {
      const limit = performance.now() + 30_000;
      for (;;) {
        const { body } = await ask('GET', `/operations/${operation}`);
        if (body['status'] !== 'pending') return body;
        if (performance.now() > limit) throw new Error(`still pending: ${operation}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
  };
}
