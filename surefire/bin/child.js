/**
 * Loaded into the program by `node.js`, which sits between it and whoever started it: raises the signals
 * that came to the parent alone, and ends the program in good order when the parent was killed.
 */
const SAME_MS = 1_000;
const DIRECT_DELIVERY_MS = 100;

if (process.channel) {
  const seenAt = new Map();

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    const note = () => {
      seenAt.set(signal, Date.now());
      if (process.listenerCount(signal) > 1) return;
      // The program has no handler of its own: what the signal does by default.
      process.off(signal, note);
      process.kill(process.pid, signal);
    };
    process.on(signal, note);
  }

  process.on('message', (signal) => {
    // A Ctrl-C comes to us directly too, maybe a moment later.
    setTimeout(() => {
      const repeated = Date.now() - (seenAt.get(signal) ?? 0) < SAME_MS;
      if (!repeated) process.kill(process.pid, signal);
    }, DIRECT_DELIVERY_MS);
  });
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.channel.unref();
}

// Nobody reads any more (`surefire --help | head -1`): stop in good order, and not with a stack trace.
process.stdout.on('error', (error) => {
  if (error.code !== 'EPIPE') throw error;
  process.kill(process.pid, 'SIGTERM');
});
