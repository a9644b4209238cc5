import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { coalesce, OverloadedError } from '../src/coalesce.ts';

/** An executor whose batches end when the test says so. */
function manual() {
  const batches: { inputs: number[]; end: (error?: Error) => void }[] = [];
  const execute = (inputs: number[]) =>
    new Promise<string[]>((resolve, reject) => {
      batches.push({
        inputs,
        end: (error) => (error === undefined ? resolve(inputs.map(String)) : reject(error)),
      });
    });
  return { batches, execute };
}

const turn = () => new Promise<void>((resolve) => void setImmediate(resolve));

describe('coalescing calls', () => {
  it('joins the calls of one turn, and those that arrive while every lane is taken', async () => {
    const { batches, execute } = manual();
    const calls = coalesce({ lanes: 1, batchMax: 10, queueMax: 100, execute, isolates: () => false });
    const first = [calls.submit(1), calls.submit(2)];
    await turn();
    const second = [calls.submit(3), calls.submit(4), calls.submit(5)];
    await turn();
    assert.deepEqual(
      batches.map((batch) => batch.inputs),
      [[1, 2]],
    );
    batches[0]?.end();
    assert.deepEqual(await Promise.all(first), ['1', '2']);
    await turn();
    assert.deepEqual(batches[1]?.inputs, [3, 4, 5]);
    batches[1]?.end();
    assert.deepEqual(await Promise.all(second), ['3', '4', '5']);
  });

  it('never exceeds a batch, and uses its lanes side by side', async () => {
    const { batches, execute } = manual();
    const calls = coalesce({ lanes: 2, batchMax: 2, queueMax: 100, execute, isolates: () => false });
    const answers = [1, 2, 3, 4, 5].map((input) => calls.submit(input));
    await turn();
    assert.deepEqual(
      batches.map((batch) => batch.inputs),
      [
        [1, 2],
        [3, 4],
      ],
    );
    batches[1]?.end();
    await Promise.all(answers.slice(2, 4));
    await turn();
    assert.deepEqual(batches[2]?.inputs, [5]);
    batches[0]?.end();
    batches[2]?.end();
    assert.deepEqual(await Promise.all(answers), ['1', '2', '3', '4', '5']);
  });

  it('refuses at once what exceeds the queue, and nothing else', async () => {
    const { batches, execute } = manual();
    const calls = coalesce({ lanes: 1, batchMax: 1, queueMax: 2, execute, isolates: () => false });
    const running = calls.submit(1);
    await turn();
    const waiting = [calls.submit(2), calls.submit(3)];
    await assert.rejects(calls.submit(4), OverloadedError);
    for (let batch = 0; batch < 3; batch += 1) {
      batches[batch]?.end();
      await turn();
      await turn();
    }
    assert.deepEqual(await Promise.all([running, ...waiting]), ['1', '2', '3']);
  });

  it('halves a failed batch until the culprit stands alone and all others have succeeded', async () => {
    const executed: number[][] = [];
    const calls = coalesce<number, string>({
      lanes: 1,
      batchMax: 10,
      queueMax: 100,
      isolates: () => true,
      execute: async (inputs) => {
        executed.push(inputs);
        if (inputs.includes(3)) throw new Error('3 is bad');
        return inputs.map(String);
      },
    });
    const answers = await Promise.allSettled([1, 2, 3, 4].map((input) => calls.submit(input)));
    assert.deepEqual(
      answers.map((answer) =>
        answer.status === 'fulfilled' ? answer.value : (answer.reason as Error).message,
      ),
      ['1', '2', '3 is bad', '4'],
    );
    assert.deepEqual(executed, [[1, 2, 3, 4], [1, 2], [3, 4], [3], [4]]);
  });

  it('fails the whole batch when the fault is in the surroundings', async () => {
    const calls = coalesce<number, string>({
      lanes: 1,
      batchMax: 10,
      queueMax: 100,
      isolates: () => false,
      execute: () => Promise.reject(new Error('the database is away')),
    });
    const answers = await Promise.allSettled([calls.submit(1), calls.submit(2)]);
    assert.ok(answers.every((answer) => answer.status === 'rejected'));
  });

  it('drains: resolves when everything submitted has been answered, at once when nothing was', async () => {
    const { batches, execute } = manual();
    const calls = coalesce({ lanes: 1, batchMax: 1, queueMax: 10, execute, isolates: () => false });
    await calls.drain();
    let drained = false;
    const answers = [calls.submit(1), calls.submit(2)];
    const draining = calls.drain().then(() => (drained = true));
    await turn();
    batches[0]?.end();
    await answers[0];
    await turn();
    assert.equal(drained, false);
    batches[1]?.end();
    await draining;
  });
});
