/** Where a client on this machine reaches the API that this configuration starts. */
export function apiUrl({ host, port }: { host: string; port: number }): string {
  // Listening on every address is not an address that one can call.
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}
