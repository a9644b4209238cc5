/** What the client learnt about each deposit, in 17 bytes each. */

export const OUTCOMES = ['unsent', 'acknowledged', 'refused', 'unknown'] as const;

/**
 * `acknowledged`: answered with an operation id. `refused`: a definite no. `unknown`: sent and given up without
 * an answer, so that it may have had its effect or not.
 */
export type Outcome = (typeof OUTCOMES)[number];

export interface Receipts {
  note(number: number, outcome: 'refused' | 'unknown'): void;
  acknowledge(number: number, operationId: string): void;
  outcomeOf(number: number): Outcome;
  /** Of an acknowledged deposit. */
  operationIdOf(number: number): string | undefined;
}

const BYTES = 16;

export function createReceipts(count: number): Receipts {
  const outcomes = new Uint8Array(count);
  const ids = Buffer.alloc(count * BYTES);

  return {
    note(number, outcome) {
      outcomes[number] = OUTCOMES.indexOf(outcome);
    },
    acknowledge(number, operationId) {
      outcomes[number] = OUTCOMES.indexOf('acknowledged');
      ids.write(operationId.replaceAll('-', ''), number * BYTES, BYTES, 'hex');
    },
    outcomeOf: (number) => OUTCOMES[outcomes[number] ?? 0] as Outcome,
    operationIdOf(number) {
      if (outcomes[number] !== OUTCOMES.indexOf('acknowledged')) return undefined;
      const hex = ids.toString('hex', number * BYTES, (number + 1) * BYTES);
      return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
    },
  };
}
