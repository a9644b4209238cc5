/** The part of a structured logger (pino's shape) that this package uses. */
export interface Log {
  /** Whether lines of a level are written at all: asked before making many of them. */
  isLevelEnabled(level: 'debug'): boolean;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
