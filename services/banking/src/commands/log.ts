/** What a line about an operation is found by. Never its amount: that would stand beside an identity. */
import type { EventContext } from '@surefire/events';

export function idsOf(event: {
  id: string;
  data: { operation_id: string; account_id: string };
  context: EventContext;
}): object {
  return {
    correlation_id: event.context.correlationId,
    event_id: event.id,
    operation_id: event.data.operation_id,
    account_id: event.data.account_id,
  };
}
