/** What an examination finds: each with what it means and, unless all is well, what to do. */
import type { Paint } from '../terminal.ts';

export type Level = 'ok' | 'warning' | 'fault';

export type Finding = {
  /** `database`, `outbox` … */
  area: string;
  level: Level;
  /** What was found and what it means, as one sentence. */
  finding: string;
  /** What to do about it. */
  advice?: string;
};

/** Writes findings of one area. */
export function area(name: string, findings: Finding[]) {
  const add = (level: Level, finding: string, advice?: string) =>
    void findings.push({ area: name, level, finding, ...(advice === undefined ? {} : { advice }) });
  return {
    ok: (finding: string) => add('ok', finding),
    warn: (finding: string, advice?: string) => add('warning', finding, advice),
    fault: (finding: string, advice?: string) => add('fault', finding, advice),
  };
}

/** One examination. What goes wrong in it is a finding too, and the others go on. */
export async function examineArea(
  name: string,
  findings: Finding[],
  look: (write: ReturnType<typeof area>) => Promise<void>,
): Promise<void> {
  const write = area(name, findings);
  try {
    await look(write);
  } catch (error) {
    write.fault(`this could not be examined: ${(error as Error).message}.`);
  }
}

export function isHealthy(findings: readonly Finding[]): boolean {
  return findings.every((finding) => finding.level !== 'fault');
}

export function renderFindings(findings: readonly Finding[], paint: Paint): string {
  const width = Math.max(...findings.map((finding) => finding.area.length));
  const marks = { ok: paint('green', '✓'), warning: paint('yellow', '!'), fault: paint('red', '✗') };
  const lines = findings.flatMap(({ area: name, level, finding, advice }) => [
    `${marks[level]} ${paint('dim', name.padEnd(width))}  ${finding}`,
    ...(advice === undefined ? [] : [`  ${' '.repeat(width)}  → ${advice}`]),
  ]);
  return [...lines, '', summary(findings, paint)].join('\n');
}

function summary(findings: readonly Finding[], paint: Paint): string {
  const count = (level: Level) => findings.filter((finding) => finding.level === level).length;
  const [faults, warnings] = [count('fault'), count('warning')];
  if (faults > 0) return paint('red', `Unhealthy: ${faults} to mend, ${warnings} to know.`);
  return paint('green', warnings === 0 ? 'All is well.' : `Healthy, with ${warnings} to know.`);
}
