/** Every problem a client can be told of. Statuses: 400 not understood, 422 refused by a rule, 5xx our fault. */

type Row = {
  readonly status: number;
  /** Further statuses, where HTTP has a closer one for the same problem. */
  readonly otherStatuses?: readonly number[];
  /** The same words every time (RFC 9457 §3.1.3). */
  readonly title: string;
  /** When it is answered. */
  readonly when: string;
  /** What the client should do. */
  readonly remedy: string;
};

export const PROBLEMS = {
  // The request as text.
  'malformed-http': {
    status: 400,
    title: 'The request is not valid HTTP',
    when: 'The request line, a header or the framing of the body cannot be read; the connection is closed',
    remedy: 'Use a standard HTTP client',
  },
  'malformed-json': {
    status: 400,
    title: 'The body is not valid JSON',
    when: 'The body is empty, cut short, begins with a byte order mark, or is no single RFC 8259 document',
    remedy: 'Send one JSON document',
  },
  'malformed-text': {
    status: 400,
    title: 'The text is not valid Unicode',
    when: 'Invalid UTF-8, half of a surrogate pair, or the character U+0000',
    remedy: 'Send well-formed UTF-8',
  },
  'duplicate-key': {
    status: 400,
    title: 'An object has the same key twice',
    when: 'Two members of one object have the same name, however it is escaped',
    remedy: 'Send each member once',
  },
  'forbidden-key': {
    status: 400,
    title: 'An object has a forbidden key',
    when: 'A member is named `__proto__`, `constructor` or `prototype`',
    remedy: 'Rename the member',
  },
  'too-deep': {
    status: 400,
    title: 'The body is nested too deeply',
    when: 'More than 32 arrays and objects stand inside each other',
    remedy: 'Flatten the body',
  },
  'too-many-members': {
    status: 400,
    title: 'The body has too many members',
    when: 'The body holds more than 1,000 values',
    remedy: 'Send fewer at a time',
  },
  'schema-violation': {
    status: 400,
    title: 'The request does not have the required shape',
    when: 'A member or parameter is missing, has the wrong type, or is not among the allowed values',
    remedy: 'Compare the request with `/openapi.json`; `detail` names the place',
  },
  'unknown-property': {
    status: 400,
    title: 'The request has an unknown property',
    when: 'A member or parameter is not part of the route’s schema',
    remedy: 'Remove it',
  },
  'ambiguous-parameter': {
    status: 400,
    title: 'A parameter is given more than once',
    when: 'A query parameter is repeated',
    remedy: 'Send it once',
  },
  'invalid-cursor': {
    status: 400,
    title: 'The cursor is not valid',
    when: 'The cursor was not issued by this route for this query',
    remedy: 'Start from the first page',
  },
  'amount-format': {
    status: 400,
    title: 'The amount is not a whole number of minor units',
    when: 'An amount is not a JSON integer in plain digits within ±(2^53-1)',
    remedy: 'Send minor units as an integer: 12.50 EUR is 1250',
  },
  'idempotency-key-required': {
    status: 400,
    title: 'The Idempotency-Key is missing',
    when: 'A request that moves money has neither an `Idempotency-Key` header nor an `idempotency_key`',
    remedy: 'Send a new key with each new intent, and the same key with each repetition',
  },
  'idempotency-key-format': {
    status: 400,
    title: 'The Idempotency-Key is not well formed',
    when: 'The key is not 1 to 255 printable ASCII characters (spaces only inside, no quotes or backslashes), is sent twice, or header and body differ',
    remedy: 'Use a UUID',
  },

  // Who asks.
  unauthenticated: {
    status: 401,
    title: 'The request is not authenticated',
    when: 'The API key is missing, unknown, expired or revoked, or two different keys are given',
    remedy: 'Send one valid key as `X-API-Key` or as `Authorization: Bearer`',
  },
  forbidden: {
    status: 403,
    title: 'The key does not allow this',
    when: 'The API key lacks the scope that the route asks for, or is a customer’s and the route is for operators',
    remedy: 'Use a key with that scope',
  },

  // The route.
  'not-found': {
    status: 404,
    title: 'There is no such thing',
    when: 'The route or the thing does not exist, or is not yours',
    remedy: 'Check the path and the id',
  },
  'method-not-allowed': {
    status: 405,
    title: 'The method is not allowed here',
    when: 'The path exists for other methods, which `Allow` lists',
    remedy: 'Use one of them',
  },
  'not-acceptable': {
    status: 406,
    title: 'The answer is not available in that form',
    when: '`Accept` excludes every form that the route can answer in',
    remedy: 'Accept `application/json`, or `text/event-stream` on event streams',
  },
  'request-timeout': {
    status: 408,
    title: 'The request took too long to arrive',
    when: 'The head or the body was not complete in time; the connection is closed',
    remedy: 'Send it again',
  },
  conflict: {
    status: 409,
    title: 'The current state does not allow this',
    when: 'The thing has moved on, e.g. a dead letter that is settled already',
    remedy: 'Look at its current state',
  },
  'body-too-large': {
    status: 413,
    title: 'The body is too large',
    when: 'The body has more than 64 KiB',
    remedy: 'Send less at a time',
  },
  'unsupported-media-type': {
    status: 415,
    title: 'The body has an unsupported media type',
    when: '`Content-Type` is not `application/json`, alone or with `charset=utf-8`',
    remedy: 'Send `Content-Type: application/json`',
  },
  'unsupported-encoding': {
    status: 415,
    title: 'The body is compressed',
    when: '`Content-Encoding` is given',
    remedy: 'Send the body as it is',
  },
  'request-too-large': {
    status: 431,
    otherStatuses: [414, 400],
    title: 'The request has too large a head',
    when: 'Headers above 16 KiB (431), a URL above 8 KiB (414), or more than 100 query parameters (400)',
    remedy: 'Send less',
  },

  // What the rules of the business refuse.
  'amount-out-of-range': {
    status: 422,
    title: 'The amount is out of range',
    when: 'An amount is zero or negative, or above the limit of the operation',
    remedy: 'Send an amount within the limits',
  },
  'unknown-currency': {
    status: 422,
    title: 'The currency is not known',
    when: 'The currency is not a supported upper-case ISO 4217 code',
    remedy: 'Use a supported code',
  },
  'currency-mismatch': {
    status: 422,
    title: 'The currencies differ',
    when: 'The account has another currency than the request or the other account',
    remedy: 'Use accounts of one currency',
  },
  'account-frozen': {
    status: 422,
    title: 'The account is frozen',
    when: 'Money would move on a frozen account',
    remedy: 'Have it unfrozen',
  },
  'account-closed': {
    status: 422,
    title: 'The account is closed',
    when: 'Anything would change on a closed account',
    remedy: 'Use another account',
  },
  'account-not-empty': {
    status: 422,
    title: 'The account is not empty',
    when: 'An account with a balance or a hold would be closed',
    remedy: 'Withdraw or transfer what is left first',
  },
  'same-account': {
    status: 422,
    title: 'Source and destination are the same account',
    when: 'A transfer would go to where it comes from',
    remedy: 'Name two accounts',
  },
  'insufficient-funds': {
    status: 422,
    title: 'The available balance is too small',
    when: 'Balance less holds does not cover the amount; nothing was moved',
    remedy: 'Send a smaller amount, or deposit first, with a new Idempotency-Key',
  },
  'balance-overflow': {
    status: 422,
    title: 'The balance would become too large',
    when: 'The balance would exceed 2^53-1 minor units',
    remedy: 'Use another account',
  },
  'idempotency-key-reused': {
    status: 422,
    title: 'The Idempotency-Key belongs to another request',
    when: 'The account has an operation with this key and other contents',
    remedy: 'Use a new key for a new intent',
  },

  // Load, and our own faults.
  'rate-limited': {
    status: 429,
    title: 'Too many requests',
    when: 'The key or the address has used up its allowance',
    remedy: 'Wait for `Retry-After`',
  },
  'too-many-streams': {
    status: 429,
    title: 'Too many open event streams',
    when: 'The key has as many event streams open as it may',
    remedy: 'Close one',
  },
  internal: {
    status: 500,
    title: 'Something went wrong on our side',
    when: 'A fault in Surefire; whether the request took effect can be looked up by its Idempotency-Key',
    remedy: 'Repeat with the same Idempotency-Key; report the `correlation_id`',
  },
  unavailable: {
    status: 503,
    title: 'Surefire cannot do this at the moment',
    when: 'The database cannot be reached, or has no free connection',
    remedy: 'Repeat with the same Idempotency-Key after `Retry-After`',
  },
  overloaded: {
    status: 503,
    title: 'Surefire has more work than it can take',
    when: 'Too many events wait for publication, or too many requests for a connection; nothing was accepted',
    remedy: 'Repeat with the same Idempotency-Key after `Retry-After`',
  },
  'operation-timeout': {
    status: 504,
    title: 'The operation is still under way',
    when: 'The wait ended before the operation did. This is not a failure: the operation goes on',
    remedy: 'Ask `/operations/:id`, or repeat with the same Idempotency-Key',
  },
} as const satisfies Record<string, Row>;

export type ProblemSlug = keyof typeof PROBLEMS;
