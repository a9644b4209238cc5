/**
 * The words that contracts are written in: one schema per idea, so that an account's id or an amount is the same
 * thing in every domain. Ids instead of names and addresses: whoever needs a person's data asks their owner.
 */
import { type TInteger, type TString, Type } from 'typebox';

const MOST = Number.MAX_SAFE_INTEGER;

const id = (description: string): TString => Type.String({ format: 'uuid', description });
const integer = (minimum: number, description: string): TInteger =>
  Type.Integer({ minimum, maximum: MOST, description });

export const AccountId = id('The account');
export const OperationId = id('The operation, as in `GET /operations/:id`');
export const HoldId = id('The hold on the money');
export const OrderId = id('The order');
export const TradeId = id('The trade');
export const UserId = id('The user');
export const PaymentId = id('The payment');
export const ReportId = id('The report');
export const NotificationId = id('The notification');

/** Integer minor units, as far as JSON carries integers exactly. */
export const amount = (description = 'In minor units of the currency'): TInteger => integer(1, description);
/** An amount that may be zero. */
export const balance = (description: string): TInteger => integer(0, description);
/** An amount with a sign. */
export const difference = (description: string): TInteger => integer(-MOST, description);

/** Whole units of what is traded. */
export const quantity = (description: string): TInteger => integer(1, description);
/** Whole units, possibly none. */
export const count = (description: string): TInteger => integer(0, description);

export const Currency = Type.String({ pattern: '^[A-Z]{3}$', description: 'ISO 4217' });
export const TradingSymbol = Type.String({ minLength: 1, maxLength: 32, description: 'What is traded' });
export const Side = Type.Enum(['buy', 'sell']);
export const Price = integer(1, 'In minor units of the currency, per unit');

export const Timestamp = Type.String({ format: 'date-time', description: 'When it happened' });
export const moment = (description: string): TString => Type.String({ format: 'date-time', description });

export const IdempotencyKey = Type.String({ description: "The client's key" });
/** For programs; `error` is for people. */
export const Reason = Type.String({
  pattern: '^[a-z][a-z0-9-]*$',
  maxLength: 100,
  description: 'Why, as a word to branch on, e.g. `insufficient-funds`',
});
export const ErrorText = Type.String({ description: 'Why, for people' });
export const word = (description: string): TString =>
  Type.String({ pattern: '^[a-z][a-z0-9_]*$', maxLength: 100, description });
