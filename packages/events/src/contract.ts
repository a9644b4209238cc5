/**
 * A contract says what an event is: its name and major version, who may rely on it, where it flows, and the
 * shape of its data. The catalogue is made of nothing else; types, validation, documentation and routing
 * are all derived from it.
 */
import { randomUUIDv7 } from 'node:crypto';
import type { Static, TObject } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';

/**
 * `critical`: appended to the outbox in the transaction of the change, never lost, applied once.
 * `best-effort`: fired at the bus, never in anybody's way, may be dropped.
 */
export type Delivery = 'critical' | 'best-effort';

export type Contract<Shape extends TObject = TObject, Lane extends Delivery = Delivery> = {
  /** `<domain>.<event>`; with namespace and version it becomes the CloudEvents type. */
  readonly name: string;
  /** Major version. A breaking change is a new one. */
  readonly version: number;
  readonly delivery: Lane;
  /** The domain, which is also the topic. */
  readonly topic: string;
  /** What kind of thing the event is about; `subject` says which. */
  readonly aggregate: string;
  /** One sentence for the reference. */
  readonly description: string;
  readonly data: Shape;
  /** Events with the same key keep their order, across all types of a topic. */
  key(data: Static<Shape>): string;
  /** The id of the aggregate. */
  subject(data: Static<Shape>): string;
  /**
   * Makes these data out of those of the version before: pure, and total for whatever fits that version. Every
   * version but the first has it, so that `Catalogue.read` can bring any event ever written up to date.
   */
  upcast?(previous: Record<string, unknown>): Static<Shape>;
};

export type CriticalContract = Contract<TObject, 'critical'>;
export type BestEffortContract = Contract<TObject, 'best-effort'>;

/** Where an event comes from, for people and traces. All optional. */
export type EventContext = {
  /** Joins everything that one request caused. */
  correlationId?: string | undefined;
  /** The id of the event that led to this one. */
  causationId?: string | undefined;
  idempotencyKey?: string | undefined;
  /** W3C trace context. */
  traceparent?: string | undefined;
};

/** An event that is about to be appended or fired. Its id is minted here and never changes. */
export type NewEvent<C extends Contract = Contract> = {
  readonly contract: C;
  /** UUIDv7: the outbox row's id, the CloudEvents id, and what every inbox remembers. */
  readonly id: string;
  readonly data: Static<C['data']>;
  readonly context: EventContext;
};

/** The data do not fit their contract: a fault of whoever made them. */
export class ContractViolationError extends Error {
  readonly code = 'CONTRACT_VIOLATION';
  readonly faults: readonly string[];
  constructor(of: Contract, faults: readonly string[]) {
    super(`${of.name}.v${of.version}: ${faults.join('; ')}`);
    this.name = 'ContractViolationError';
    this.faults = faults;
  }
}

/** Declares a contract; exists to infer its types. */
export function contract<Shape extends TObject, Lane extends Delivery>(
  declaration: Contract<Shape, Lane>,
): Contract<Shape, Lane> {
  return Object.freeze(declaration);
}

/** Makes an event. Throws `ContractViolationError` when the data do not fit. */
export function event<C extends Contract>(
  of: C,
  data: Static<C['data']>,
  context: EventContext = {},
): NewEvent<C> {
  assertData(of, data);
  return { contract: of, id: randomUUIDv7(), data, context };
}

const validators = new WeakMap<Contract, Validator>();

/** Throws `ContractViolationError` unless `data` fit the contract. Unknown members are allowed: they are newer. */
export function assertData(of: Contract, data: unknown): void {
  let validator = validators.get(of);
  if (validator === undefined) {
    validator = Compile<TObject>(of.data);
    validators.set(of, validator);
  }
  if (validator.Check(data)) return;
  const faults = validator.Errors(data).map((fault) => `${fault.instancePath || 'data'} ${fault.message}`);
  throw new ContractViolationError(of, faults);
}
