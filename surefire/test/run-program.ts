/** Runs the program to its end, as a shell would. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const MAIN = join(import.meta.dirname, '../src/main.ts');

export type Ended = { code: number; stdout: string; stderr: string };

/**
 * Runs the program in an environment of nothing but `variables` and an empty data folder. A text is split into
 * words at its spaces.
 */
export async function surefire(
  args: string | readonly string[],
  variables: Record<string, string> = {},
): Promise<Ended> {
  const folder = await mkdtemp(join(tmpdir(), 'surefire-main-'));
  const env = { SUREFIRE_DATA_DIR: join(folder, 'data'), SUREFIRE_HTTP_PORT: '1', ...variables };
  const words = typeof args === 'string' ? args.split(' ').filter(Boolean) : args;
  try {
    return await new Promise<Ended>((resolve) => {
      execFile(process.execPath, [MAIN, ...words], { env }, (error, stdout, stderr) => {
        assert.equal(existsSync(join(folder, 'data')), false, 'a command that only looks leaves no trace');
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
      });
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
