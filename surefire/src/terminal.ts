/** Data go to stdout, talk goes to stderr. Colours honour NO_COLOR, FORCE_COLOR and redirection. */
import { styleText } from 'node:util';

/** A line of the command's result. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** A line for the person who watches. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

export type Paint = (style: 'green' | 'red' | 'yellow' | 'dim' | 'bold', text: string) => string;

export function painter(stream: NodeJS.WriteStream): Paint {
  return (style, text) => styleText(style, text, { stream });
}

/** `12345678` as `12,345,678`. */
export function grouped(value: number | bigint): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 0 });
}
