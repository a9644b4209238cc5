/** `npm run check`: every static check, each with its one line; all run even when one fails. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const BIN = join(ROOT, 'node_modules', '.bin');

const CHECKS = [
  { name: 'types', command: join(BIN, 'tsc'), args: ['--project', '.'] },
  { name: 'lint', command: join(BIN, 'oxlint'), args: ['--deny-warnings'] },
  { name: 'format', command: join(BIN, 'biome'), args: ['check', '.'] },
  { name: 'architecture', command: process.execPath, args: ['scripts/tidy.ts'] },
];

let failed = 0;
for (const check of CHECKS) {
  const startedAt = performance.now();
  const { ended, said } = await run(check);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  if (ended !== 0) {
    failed += 1;
    console.log(said.trim());
  }
  console.log(`${ended === 0 ? '✔' : '✖'} ${check.name} (${seconds} s)`);
}
if (failed > 0) console.log(`${failed} of ${CHECKS.length} checks failed`);
process.exitCode = failed > 0 ? 1 : 0;

function run({
  command,
  args,
}: {
  command: string;
  args: string[];
}): Promise<{ ended: unknown; said: string }> {
  return new Promise((settle) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    }
    child.on('error', (error) => settle({ ended: error, said: error.message }));
    child.on('close', (code, signal) => settle({ ended: code ?? signal, said }));
  });
}
