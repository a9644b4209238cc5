/** JSON for committed files, laid out as the formatter wants it: lists of plain values stand on one line if they fit. */
const WIDTH = 110;

export function formatJson(value: unknown): string {
  return `${layOut(value, { indent: '', used: 0 })}\n`;
}

/** `used`: what already stands on the line, and a comma behind. */
function layOut(value: unknown, { indent, used }: { indent: string; used: number }): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    const plain = value.every((item) => typeof item !== 'object' || item === null);
    const line = `[${value.map((item) => JSON.stringify(item)).join(', ')}]`;
    if (plain && used + line.length + 1 <= WIDTH) return line;
    const items = value.map((item) => `${inner}${layOut(item, { indent: inner, used: inner.length })}`);
    return `[\n${items.join(',\n')}\n${indent}]`;
  }
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  if (members.length === 0) return '{}';
  const lines = members.map(([name, member]) => {
    const start = `${inner}${JSON.stringify(name)}: `;
    return `${start}${layOut(member, { indent: inner, used: start.length })}`;
  });
  return `{\n${lines.join(',\n')}\n${indent}}`;
}
