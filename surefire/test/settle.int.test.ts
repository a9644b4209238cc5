import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { waitUntilSettled } from '../src/load/settle.ts';
import { ACCOUNTS, id, settledRun } from './settled-run.ts';

/** The run has eight acknowledged deposits, of which one failed and left no entry. */
async function wait(fault: string, options: { giveUpAfterMs: number; meanwhile?: string }) {
  await using run = await settledRun(fault);
  const waiting = waitUntilSettled({
    db: run.db,
    accountIds: ACCOUNTS,
    expected: 8,
    giveUpAfterMs: options.giveUpAfterMs,
    signal: new AbortController().signal,
    onProgress() {},
  });
  if (options.meanwhile !== undefined) await run.db.query(options.meanwhile);
  return await waiting;
}

void describe('waiting until a run has settled', () => {
  void it('sees that it has, failed deposits included', async () => {
    assert.equal((await wait('', { giveUpAfterMs: 10_000 })).settled, true);
  });

  const unsettled: [string, string][] = [
    ['an operation is pending', `update operations set status = 'pending' where id = '${id('d', 7)}'`],
    ['an event is pending', `update event_outbox set status = 'PENDING' where id = '${id('e', 5)}'`],
  ];
  for (const [name, fault] of unsettled) {
    void it(`gives up when ${name} and nothing moves`, async () => {
      assert.equal((await wait(fault, { giveUpAfterMs: 1_500 })).settled, false);
    });

    void it(`goes on once it is so no more that ${name}`, async () => {
      const meanwhile = fault.replace('pending', 'failed').replace('PENDING', 'PUBLISHED');
      assert.equal((await wait(fault, { giveUpAfterMs: 10_000, meanwhile })).settled, true);
    });
  }
});
