/** The embedded server cannot be had; the message says why in a sentence a person can act on. */
export class EmbeddedServerError extends Error {
  override readonly name = 'EmbeddedServerError';
}
