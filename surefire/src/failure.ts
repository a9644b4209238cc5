/** How a command ends. The numbers are a contract with scripts. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  unhealthy: 4,
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A command cannot go on, and its message is the one sentence that its user needs. */
export class CommandFailure extends Error {
  readonly exitCode: ExitCode;
  constructor(message: string, options: { exitCode?: ExitCode; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'CommandFailure';
    this.exitCode = options.exitCode ?? EXIT.failed;
  }
}

/** Ctrl-C, or whoever else asked for an orderly end before the work was done. */
export class Interrupted extends CommandFailure {
  constructor(message = 'Interrupted.') {
    super(message, { exitCode: EXIT.interrupted });
    this.name = 'Interrupted';
  }
}
