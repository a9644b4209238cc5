/**
 * Orders, the trades that fill them, and the positions they leave. Everything is keyed by the account, so that an
 * account's orders, trades and position tell one story.
 *
 *   OrderCreated → OrderValidated → (FundsLocked) → TradeCreated → TradePlaced → TradeExecuted → OrderFilled
 *                                                                                              → TradeClosed
 */
import { Type } from 'typebox';
import { type Contract, contract } from './contract.ts';
import {
  AccountId,
  amount,
  balance,
  Currency,
  count,
  difference,
  moment,
  OrderId,
  Price,
  quantity,
  Reason,
  Side,
  Timestamp,
  TradeId,
  TradingSymbol,
} from './fields.ts';

const trading = {
  version: 1,
  delivery: 'critical',
  topic: 'trading',
  key: (data: { account_id: string }) => data.account_id,
} as const;

const order = {
  ...trading,
  aggregate: 'order',
  subject: (data: { order_id: string }) => data.order_id,
} as const;

const trade = {
  ...trading,
  aggregate: 'trade',
  subject: (data: { trade_id: string }) => data.trade_id,
} as const;

const position = {
  ...trading,
  aggregate: 'position',
  subject: (data: { account_id: string; symbol: string }) => `${data.account_id}/${data.symbol}`,
} as const;

const ordered = {
  order_id: OrderId,
  account_id: AccountId,
  symbol: TradingSymbol,
  side: Side,
  quantity: quantity('Units ordered'),
};

const traded = {
  trade_id: TradeId,
  order_id: OrderId,
  account_id: AccountId,
  symbol: TradingSymbol,
  side: Side,
};

const filled = count('Units that were filled before');

export const OrderCreated = contract({
  ...order,
  name: 'trading.order_created',
  description: 'An order was accepted and will be checked.',
  data: Type.Object({
    ...ordered,
    order_type: Type.Enum(['market', 'limit', 'stop_loss', 'stop_limit']),
    validity: Type.Enum(['day', 'ioc', 'gtc']),
    price: Type.Optional(Price),
    stop_price: Type.Optional(Price),
    currency: Currency,
    expires_at: Type.Optional(moment('When it stops waiting to be filled')),
    timestamp: Timestamp,
  }),
});

export const OrderValidated = contract({
  ...order,
  name: 'trading.order_validated',
  description: 'An order passed its checks, and the money for it has to be locked.',
  data: Type.Object({
    ...ordered,
    amount: balance('What has to be locked, in minor units; 0 for a sale'),
    currency: Currency,
    timestamp: Timestamp,
  }),
});

export const OrderFilled = contract({
  ...order,
  name: 'trading.order_filled',
  description: 'An order was filled, wholly or in part; its status says which.',
  data: Type.Object({
    ...ordered,
    filled_quantity: quantity('Units filled up to now'),
    value: amount('What the filled units cost in all, without fees, in minor units'),
    currency: Currency,
    status: Type.Enum(['PARTIALLY_FILLED', 'FILLED']),
    timestamp: Timestamp,
  }),
});

export const OrderCancelled = contract({
  ...order,
  name: 'trading.order_cancelled',
  description: 'What was still open of an order was cancelled.',
  data: Type.Object({ ...ordered, filled_quantity: filled, reason: Reason, timestamp: Timestamp }),
});

export const OrderExpired = contract({
  ...order,
  name: 'trading.order_expired',
  description: 'What was still open of an order ran out of time.',
  data: Type.Object({ ...ordered, filled_quantity: filled, timestamp: Timestamp }),
});

export const OrderRejected = contract({
  ...order,
  name: 'trading.order_rejected',
  description: 'An order was refused, and nothing of it was traded.',
  data: Type.Object({ ...ordered, reason: Reason, timestamp: Timestamp }),
});

export const TradeCreated = contract({
  ...trade,
  name: 'trading.trade_created',
  description: 'A trade that is to fill an order exists, and is not at the venue yet.',
  data: Type.Object({
    ...traded,
    quantity: quantity('Units to trade'),
    price: Type.Optional(Price),
    currency: Currency,
    timestamp: Timestamp,
  }),
});

export const TradePlaced = contract({
  ...trade,
  name: 'trading.trade_placed',
  description: 'A trade is at the venue.',
  data: Type.Object({ ...traded, quantity: quantity('Units to trade'), timestamp: Timestamp }),
});

export const TradeExecuted = contract({
  ...trade,
  name: 'trading.trade_executed',
  description: 'The venue executed a trade, wholly or in part: what revenue, risk, ledger and audit count.',
  data: Type.Object({
    ...traded,
    quantity: quantity('Units executed by this'),
    remaining_quantity: count('Units that are still open'),
    price: Price,
    value: amount('What the units cost, without the fee, in minor units'),
    fee: balance('What the account pays for the service, in minor units'),
    currency: Currency,
    timestamp: Timestamp,
  }),
});

export const TradeClosed = contract({
  ...trade,
  name: 'trading.trade_closed',
  description:
    'A trade is settled: nothing more comes of it, and what is still locked for it can be released.',
  data: Type.Object({
    ...traded,
    quantity: quantity('Units executed in all'),
    value: amount('What they cost in all, without fees, in minor units'),
    fee: balance('All fees, in minor units'),
    currency: Currency,
    timestamp: Timestamp,
  }),
});

export const TradeCancelled = contract({
  ...trade,
  name: 'trading.trade_cancelled',
  description: 'What was still open of a trade was taken back from the venue.',
  data: Type.Object({
    ...traded,
    quantity: quantity('Units to trade'),
    executed_quantity: count('Units executed before'),
    reason: Reason,
    timestamp: Timestamp,
  }),
});

export const TradeFailed = contract({
  ...trade,
  name: 'trading.trade_failed',
  description: 'A trade could not be executed, and nothing of it was.',
  data: Type.Object({
    ...traded,
    quantity: quantity('Units to trade'),
    reason: Reason,
    timestamp: Timestamp,
  }),
});

export const PositionUpdated = contract({
  ...position,
  name: 'trading.position_updated',
  description: 'A trade changed what an account holds of a symbol.',
  data: Type.Object({
    account_id: AccountId,
    symbol: TradingSymbol,
    trade_id: TradeId,
    quantity: count('Units held now'),
    total_cost: balance('What they cost, in minor units'),
    realized_pnl: difference('What this trade gained or lost, in minor units'),
    currency: Currency,
    timestamp: Timestamp,
  }),
});

export const tradingContracts: readonly Contract[] = [
  OrderCreated,
  OrderValidated,
  OrderFilled,
  OrderCancelled,
  OrderExpired,
  OrderRejected,
  TradeCreated,
  TradePlaced,
  TradeExecuted,
  TradeClosed,
  TradeCancelled,
  TradeFailed,
  PositionUpdated,
];
