/**
 * Group commit in the application: calls that arrive together are executed by one statement and one
 * commit. Nobody lingers: a batch leaves as soon as one of the `lanes` is free, so a lone call waits
 * for nothing, and under load batches grow by themselves.
 *
 *   const accept = coalesce({ lanes: 2, batchMax: 500, queueMax: 10_000, execute });
 *   const answer = await accept.submit(request);
 */

export type CoalesceOptions<Input, Output> = {
  /** Batches that may be under way at once; each uses one connection. */
  lanes: number;
  /** Most inputs in one batch. */
  batchMax: number;
  /** Inputs that may wait; beyond it `submit` refuses with `OverloadedError` at once. */
  queueMax: number;
  /** Executes a batch; answers in the order of its inputs. Must be all or nothing when it throws. */
  execute: (inputs: Input[]) => Promise<Output[]>;
  /**
   * Whether an error may be one input's fault. Then the batch is split in halves and tried again, until
   * the culprit stands alone and the others have succeeded. Other errors fail the whole batch.
   */
  isolates: (error: unknown) => boolean;
};

export interface Coalescer<Input, Output> {
  submit(input: Input): Promise<Output>;
  /** Resolves when everything submitted so far has been answered. */
  drain(): Promise<void>;
}

export class OverloadedError extends Error {
  readonly code = 'OVERLOADED';
  constructor(queueMax: number) {
    super(`more than ${queueMax} calls are waiting`);
    this.name = 'OverloadedError';
  }
}

type Call<Input, Output> = {
  input: Input;
  resolve: (output: Output) => void;
  reject: (error: unknown) => void;
};

export function coalesce<Input, Output>(options: CoalesceOptions<Input, Output>): Coalescer<Input, Output> {
  let queue: Call<Input, Output>[] = [];
  let running = 0;
  let scheduled = false;
  let idle: (() => void)[] = [];

  function submit(input: Input): Promise<Output> {
    if (queue.length >= options.queueMax) return Promise.reject(new OverloadedError(options.queueMax));
    return new Promise<Output>((resolve, reject) => {
      queue.push({ input, resolve, reject });
      // Calls of the same turn of the event loop (one read of the socket often brings several) join.
      if (!scheduled) {
        scheduled = true;
        setImmediate(() => {
          scheduled = false;
          dispatch();
        });
      }
    });
  }

  function dispatch(): void {
    while (running < options.lanes && queue.length > 0) {
      const batch = queue.slice(0, options.batchMax);
      queue = queue.slice(options.batchMax);
      running += 1;
      void settle(batch).finally(() => {
        running -= 1;
        dispatch();
        if (running === 0 && queue.length === 0) {
          for (const wake of idle) wake();
          idle = [];
        }
      });
    }
  }

  /** Never rejects: every call of the batch is answered. */
  async function settle(batch: Call<Input, Output>[]): Promise<void> {
    try {
      const outputs = await options.execute(batch.map((call) => call.input));
      if (outputs.length !== batch.length) {
        throw new Error(`a batch of ${batch.length} was answered with ${outputs.length} results`);
      }
      batch.forEach((call, index) => call.resolve(outputs[index] as Output));
    } catch (error) {
      if (batch.length > 1 && options.isolates(error)) {
        const middle = batch.length >> 1;
        await settle(batch.slice(0, middle));
        await settle(batch.slice(middle));
      } else {
        for (const call of batch) call.reject(error);
      }
    }
  }

  return {
    submit,
    drain: () =>
      running === 0 && queue.length === 0
        ? Promise.resolve()
        : new Promise<void>((resolve) => void idle.push(resolve)),
  };
}
