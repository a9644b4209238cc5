/** Payments: money on its way in from outside. Keyed by the account that it is for, as everything about money is. */
import { Type } from 'typebox';
import { type Contract, contract } from './contract.ts';
import { AccountId, amount, Currency, moment, PaymentId, Reason, Timestamp, word } from './fields.ts';

const payment = {
  version: 1,
  delivery: 'critical',
  topic: 'payments',
  aggregate: 'payment',
  key: (data: { account_id: string }) => data.account_id,
  subject: (data: { payment_id: string }) => data.payment_id,
} as const;

const paid = { payment_id: PaymentId, account_id: AccountId, amount: amount(), currency: Currency };

export const PaymentCreated = contract({
  ...payment,
  name: 'payments.payment_created',
  description: 'A payment into an account was begun, and is waited for.',
  data: Type.Object({
    ...paid,
    method: word('How it is paid, e.g. `card`'),
    expires_at: moment('How long it is waited for'),
    timestamp: Timestamp,
  }),
});

export const PaymentSuccess = contract({
  ...payment,
  name: 'payments.payment_success',
  description: 'The payment was made, and can be deposited.',
  data: Type.Object({ ...paid, timestamp: Timestamp }),
});

export const PaymentFailed = contract({
  ...payment,
  name: 'payments.payment_failed',
  description: 'The payment was refused, and no money comes of it.',
  data: Type.Object({ ...paid, reason: Reason, timestamp: Timestamp }),
});

export const PaymentExpired = contract({
  ...payment,
  name: 'payments.payment_expired',
  description: 'The payment was not made in time, and is no longer waited for.',
  data: Type.Object({ ...paid, timestamp: Timestamp }),
});

export const paymentsContracts: readonly Contract[] = [
  PaymentCreated,
  PaymentSuccess,
  PaymentFailed,
  PaymentExpired,
];
