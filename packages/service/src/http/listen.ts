/** Listening, and leaving in good order. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import type { Http } from '../http.ts';
import type { Component } from '../run.ts';

/** The address cannot be listened on. The message is one sentence for whoever started the process. */
export class ListenError extends Error {
  readonly code = 'LISTEN_FAILED';
  constructor(message: string, options: { cause: unknown }) {
    super(message, options);
    this.name = 'ListenError';
  }
}

export type Address = { readonly host: string; readonly port: number; readonly url: string };

/** Starts listening. Port 0 picks a free one, which the answer names. Throws `ListenError`. */
export async function listen(app: Http, { host, port }: { host: string; port: number }): Promise<Address> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    const reason = listenReason(error as NodeJS.ErrnoException, { host, port });
    if (reason === undefined) throw error;
    throw new ListenError(reason, { cause: error });
  }
  const bound = (app.server.address() as AddressInfo).port;
  // A browser cannot open the address that means "all of them".
  const shown = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  return { host, port: bound, url: `http://${shown.includes(':') ? `[${shown}]` : shown}:${bound}` };
}

/**
 * Throws `ListenError` when the address cannot be listened on right now: to be asked before anything else is
 * started. Port 0 always can.
 */
export async function assertCanListen({ host, port }: { host: string; port: number }): Promise<void> {
  if (port === 0) return;
  const probe = createServer();
  try {
    probe.listen({ host, port });
    await once(probe, 'listening');
  } catch (error) {
    const reason = listenReason(error as NodeJS.ErrnoException, { host, port });
    if (reason === undefined) throw error;
    throw new ListenError(reason, { cause: error });
  } finally {
    probe.close();
  }
}

function listenReason(error: NodeJS.ErrnoException, { host, port }: { host: string; port: number }) {
  switch (error.code) {
    case 'EADDRINUSE':
      return `Port ${port} on ${host} is taken by another process; set SUREFIRE_HTTP_PORT to another one (0 picks a free one).`;
    case 'EACCES':
      return `Port ${port} on ${host} is not allowed to this user; set SUREFIRE_HTTP_PORT to one above 1023.`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `${host} is not an address of this machine; set SUREFIRE_HTTP_HOST to one that is (0.0.0.0 for all).`;
    case undefined:
    default:
      return undefined;
  }
}

export type HttpComponentOptions = {
  app: Http;
  host: string;
  port: number;
  /** How long requests in hand may take to finish once stopping. Default 8 s, less than a process's 10 s. */
  drainMs?: number;
  onListening?: (address: Address) => void;
};

/** The HTTP server as a part of a process. */
export function httpComponent(options: HttpComponentOptions): Component {
  const { app, drainMs = 8_000 } = options;
  return {
    name: 'http',
    async start() {
      options.onListening?.(await listen(app, options));
    },
    stop: () => closeHttp(app, drainMs),
  };
}

/**
 * Stops accepting, lets requests in hand finish (answering them with `Connection: close`), and after `drainMs` cuts
 * off whoever is left. May be called twice.
 */
export async function closeHttp(app: Http, drainMs: number): Promise<void> {
  const cut = setTimeout(() => app.server.closeAllConnections(), drainMs);
  try {
    await app.close();
  } finally {
    clearTimeout(cut);
  }
}
