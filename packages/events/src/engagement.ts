/**
 * What makes trading pleasant, and is never worth a delay: feed, experience points, notifications. All of it is
 * best-effort: fired, perhaps dropped, and counted when dropped.
 */
import { Type } from 'typebox';
import { type Contract, contract } from './contract.ts';
import {
  AccountId,
  NotificationId,
  quantity,
  Side,
  Timestamp,
  TradeId,
  TradingSymbol,
  word,
} from './fields.ts';

const engagement = {
  version: 1,
  delivery: 'best-effort',
  topic: 'engagement',
  key: (data: { account_id: string }) => data.account_id,
} as const;

export const TradeShared = contract({
  ...engagement,
  name: 'engagement.trade_shared',
  aggregate: 'trade',
  description: 'A trade appeared in the feed, without its amounts.',
  data: Type.Object({
    trade_id: TradeId,
    account_id: AccountId,
    symbol: TradingSymbol,
    side: Side,
    timestamp: Timestamp,
  }),
  subject: (data) => data.trade_id,
});

export const XpGranted = contract({
  ...engagement,
  name: 'engagement.xp_granted',
  aggregate: 'account',
  description: 'An account earned experience points.',
  data: Type.Object({
    account_id: AccountId,
    points: quantity('Points earned by this'),
    activity: word('For what, e.g. `trade_executed`'),
    timestamp: Timestamp,
  }),
  subject: (data) => data.account_id,
});

export const NotificationSent = contract({
  ...engagement,
  name: 'engagement.notification_sent',
  aggregate: 'notification',
  description: 'A notification went out; its text and recipient stay with the sender.',
  data: Type.Object({
    notification_id: NotificationId,
    account_id: AccountId,
    channel: word('How, e.g. `push`'),
    template: word('Which text, e.g. `trade_executed`'),
    timestamp: Timestamp,
  }),
  subject: (data) => data.notification_id,
});

export const engagementContracts: readonly Contract[] = [TradeShared, XpGranted, NotificationSent];
