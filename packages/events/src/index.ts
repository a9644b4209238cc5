/** The shared event catalogue: what services tell each other, and nothing else of each other. */
import { bankingContracts } from './banking.ts';
import { type Catalogue, catalogue } from './catalogue.ts';

export {
  AccountOpened,
  DepositCompleted,
  DepositFailed,
  DepositRequested,
  FundsDeposited,
} from './banking.ts';
export { type Catalogue, catalogue } from './catalogue.ts';
export {
  assertData,
  type BestEffortContract,
  type Contract,
  ContractViolationError,
  type CriticalContract,
  contract,
  type Delivery,
  type EventContext,
  event,
  type NewEvent,
} from './contract.ts';
export { type CloudEvent, formatSequence } from './envelope.ts';

/** Every contract of the platform under a namespace. */
export function platformCatalogue(options: { namespace: string }): Catalogue {
  return catalogue({ namespace: options.namespace, contracts: bankingContracts });
}
