/** What a person reads when everything runs: where it is, with which key, and what to try first. */
import type { DevelopmentKey } from '@surefire/service';

export const ISSUE_ANOTHER = 'npx surefire keys issue --role operator --principal YOU';

export function banner(facts: {
  url: string;
  development: DevelopmentKey;
  /** Whether a person reads it. A configured key is somebody's secret, and not for a file that collects output. */
  interactive: boolean;
}): string {
  const { url, development } = facts;
  const { file, revoked } = development;
  const secret = file === undefined && !facts.interactive;
  const key = secret ? '$SUREFIRE_API_KEY' : development.key;
  const kept = file === undefined ? '' : `   (kept in ${file})`;
  return [
    '',
    '  Surefire is running.',
    '',
    `  API        ${url}`,
    `  Reference  ${url}/docs`,
    `  Metrics    ${url}/metrics`,
    `  API key    ${revoked ? `revoked; issue one with \`${ISSUE_ANOTHER}\`` : `${key}${kept}`}`,
    '',
    '  Open an account, deposit 100.00 into it, and see it settled:',
    '',
    `    export KEY=${revoked ? `$(${ISSUE_ANOTHER})` : key}`,
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
