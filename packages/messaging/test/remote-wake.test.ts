import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Channel, createSender } from '../src/remote-wake.ts';

/** A sender whose pauses and statements end when the test says so. */
function manual(send: (channels: readonly Channel[]) => Promise<void> = async () => {}) {
  const sent: (readonly Channel[])[] = [];
  const failed: unknown[] = [];
  const pauses: { ms: number; end: () => void }[] = [];
  const sender = createSender({
    everyMs: 10,
    async send(channels) {
      sent.push(channels);
      await send(channels);
    },
    onFailure: (error) => void failed.push(error),
    pause: (ms, signal) =>
      new Promise((resolve) => {
        pauses.push({ ms, end: resolve });
        signal.addEventListener('abort', () => resolve());
      }),
  });
  return { sender, sent, failed, pauses };
}

const turn = () => new Promise<void>((resolve) => void setImmediate(resolve));

describe('sending hints to other processes', () => {
  it('sends the first at once, and all that come within the pause with one statement', async () => {
    const { sender, sent, pauses } = manual();
    sender.hint('outbox');
    assert.deepEqual(sent, [['outbox']]);
    await turn();
    for (let n = 0; n < 1_000; n += 1) sender.hint('outbox');
    sender.hint('bus');
    await turn();
    assert.equal(sent.length, 1);
    pauses[0]?.end();
    await turn();
    assert.deepEqual(sent, [['outbox'], ['outbox', 'bus']]);
    assert.deepEqual(
      pauses.map(({ ms }) => ms),
      [10, 10],
    );
  });

  it('is silent while there is nothing to say, and then sends at once again', async () => {
    const { sender, sent, pauses } = manual();
    sender.hint('outbox');
    await turn();
    pauses[0]?.end();
    await turn();
    assert.equal(sent.length, 1);
    sender.hint('bus');
    assert.deepEqual(sent, [['outbox'], ['bus']]);
  });

  it('has one statement under way at most, and sends what came meanwhile after it', async () => {
    const statement = Promise.withResolvers<void>();
    const { sender, sent, pauses } = manual(() => statement.promise);
    sender.hint('outbox');
    sender.hint('outbox');
    await turn();
    assert.equal(pauses.length, 0);
    statement.resolve();
    await turn();
    pauses[0]?.end();
    await turn();
    assert.equal(sent.length, 2);
  });

  it('swallows what fails, does not repeat it, and leaves the server alone for a second', async () => {
    const { sender, sent, failed, pauses } = manual(() => Promise.reject(new Error('queue is full')));
    sender.hint('outbox');
    await turn();
    assert.equal(failed.length, 1);
    assert.equal(pauses[0]?.ms, 1_000);
    pauses[0]?.end();
    await turn();
    assert.equal(sent.length, 1);
  });

  it('stops within its pause, twice, and says nothing more', async () => {
    const { sender, sent } = manual();
    sender.hint('outbox');
    await turn();
    sender.hint('outbox');
    await Promise.all([sender.stop(), sender.stop()]);
    sender.hint('outbox');
    await turn();
    assert.equal(sent.length, 1);
  });
});
