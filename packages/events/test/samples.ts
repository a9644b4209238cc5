/** Data that fit a contract, made from its schema: the smallest of everything, and every optional member present. */
import { randomUUIDv7 } from 'node:crypto';
import { type Contract, type JsonSchema, schemaOf } from '../src/index.ts';

const PATTERNS: Readonly<Record<string, string>> = {
  '^[A-Z]{3}$': 'EUR',
  '^[a-z][a-z0-9-]*$': 'insufficient-funds',
  '^[a-z][a-z0-9_]*$': 'some_word',
};

export function sampleOf(contract: Contract): Record<string, unknown> {
  return valueOf(schemaOf(contract)) as Record<string, unknown>;
}

function valueOf(schema: JsonSchema): unknown {
  if (Array.isArray(schema['enum'])) return schema['enum'][0];
  if (schema.type === 'object') {
    const members = Object.entries(schema.properties ?? {});
    return Object.fromEntries(members.map(([name, member]) => [name, valueOf(member)]));
  }
  if (schema.type === 'array') return [valueOf(schema.items ?? {})];
  if (schema.type === 'integer') return schema['minimum'];
  if (schema['format'] === 'uuid') return randomUUIDv7();
  if (schema['format'] === 'date-time') return new Date().toISOString();
  return PATTERNS[String(schema['pattern'])] ?? 'text';
}
