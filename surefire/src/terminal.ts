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

/** Columns as wide as they must be, two spaces apart. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = heading.map((_, column) =>
    Math.max(...[heading, ...rows].map((cells) => (cells[column] as string).length)),
  );
  return [heading, ...rows]
    .map((cells) =>
      cells
        .map((cell, column) => cell.padEnd(widths[column] as number))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** UTC, to the second. */
export function shownTime(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}

/** One line of at most that many characters, without control characters. */
export function shortened(text: string, max: number): string {
  const line = text.replaceAll(/\p{Cc}+/gu, ' ').trim();
  return line.length > max ? `${line.slice(0, max - 1)}…` : line;
}
