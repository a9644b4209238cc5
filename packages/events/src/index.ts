/** The shared event catalogue: what services tell each other, and nothing else of each other. */
import { bankingContracts } from './banking.ts';
import { type Catalogue, catalogue } from './catalogue.ts';
import { engagementContracts } from './engagement.ts';
import { identityContracts } from './identity.ts';
import { paymentsContracts } from './payments.ts';
import { reportsContracts } from './reports.ts';
import { tradingContracts } from './trading.ts';

export { type AsyncApiDocument, asyncApi } from './asyncapi.ts';
export {
  AccountOpened,
  DepositCompleted,
  DepositFailed,
  DepositRequested,
  FundsDeposited,
  FundsLocked,
  FundsReleased,
  FundsWithdrawn,
  TransferCompleted,
  TransferFailed,
  TransferRequested,
  WithdrawalCompleted,
  WithdrawalFailed,
  WithdrawalRequested,
} from './banking.ts';
export { type Catalogue, catalogue, type Reading } from './catalogue.ts';
export { breakingChanges } from './compatibility.ts';
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
export { NotificationSent, TradeShared, XpGranted } from './engagement.ts';
export { type CloudEvent, EventAttributes, formatSequence } from './envelope.ts';
export {
  UserCreated,
  UserLogin,
  UserPasswordChanged,
  UserRoleChanged,
  UserStatusChanged,
  UserUpdated,
} from './identity.ts';
export { PaymentCreated, PaymentExpired, PaymentFailed, PaymentSuccess } from './payments.ts';
export { ReportCompleted, ReportFailed, ReportRequested } from './reports.ts';
export { type ContractSchema, classNameOf, type JsonSchema, schemaOf } from './schema.ts';
export {
  OrderCancelled,
  OrderCreated,
  OrderExpired,
  OrderFilled,
  OrderRejected,
  OrderValidated,
  PositionUpdated,
  TradeCancelled,
  TradeClosed,
  TradeCreated,
  TradeExecuted,
  TradeFailed,
  TradePlaced,
} from './trading.ts';

/** Every contract of the platform under a namespace. */
export function platformCatalogue(options: { namespace: string }): Catalogue {
  return catalogue({
    namespace: options.namespace,
    contracts: [
      ...tradingContracts,
      ...bankingContracts,
      ...identityContracts,
      ...paymentsContracts,
      ...reportsContracts,
      ...engagementContracts,
    ],
  });
}
