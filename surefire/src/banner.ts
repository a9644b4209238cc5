/** What a person reads when everything runs: where it is, with which key, and what to try first. */

export function banner(facts: { url: string; key: string; keyFile: string | undefined }): string {
  const { url, key, keyFile } = facts;
  return [
    '',
    '  Surefire is running.',
    '',
    `  API        ${url}`,
    `  Reference  ${url}/docs`,
    `  Metrics    ${url}/metrics`,
    `  API key    ${key}${keyFile === undefined ? '' : `   (kept in ${keyFile})`}`,
    '',
    '  Open an account, deposit 100.00 into it, and see it settled:',
    '',
    `    export KEY=${key}`,
    `    ID=$(curl -s ${url}/accounts -H "X-API-Key: $KEY" -H 'Content-Type: application/json' \\`,
    `      -d '{"owner":"alice"}' | sed 's/.*"id":"\\([^"]*\\)".*/\\1/')`,
    `    curl -s ${url}/accounts/$ID/deposit -H "X-API-Key: $KEY" -H 'Idempotency-Key: first' \\`,
    `      -H 'Content-Type: application/json' -d '{"amount":10000}'`,
    `    sleep 1; curl -s ${url}/accounts/$ID -H "X-API-Key: $KEY"`,
    '',
    '  Ctrl-C finishes what is under way and stops. The data stay.',
    '',
  ].join('\n');
}
