/**
 * Keeps `packages/events/schemas/`: a JSON Schema for every version of every event, as it was committed.
 *
 *   node scripts/schemas.ts            writes what is new or compatibly changed
 *   node scripts/schemas.ts --check    writes nothing, and fails when there would be something to write
 *
 * A breaking change is refused either way: it needs a new major version and an `upcast`, while the old version stays.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  breakingChanges,
  type Contract,
  type ContractSchema,
  platformCatalogue,
  schemaOf,
} from '@surefire/events';
import { formatJson } from './format-json.ts';

const FOLDER = join(import.meta.dirname, '..', 'packages', 'events', 'schemas');

export type SchemaFile = { name: string; written: string; wanted: string; breaking: readonly string[] };

/** Every committed file and every file that the contracts want, by name. */
export function schemaFiles(
  contracts: readonly Contract[],
  committed: ReadonlyMap<string, string>,
): SchemaFile[] {
  const schemas = new Map(contracts.map(schemaOf).map((schema) => [`${schema.title}.json`, schema]));
  return [...new Set([...committed.keys(), ...schemas.keys()])].toSorted().map((name) => {
    const written = committed.get(name) ?? '';
    const schema = schemas.get(name);
    return {
      name,
      written,
      wanted: schema === undefined ? written : formatJson(schema),
      breaking: changes(written, schema),
    };
  });
}

function changes(written: string, schema: ContractSchema | undefined): readonly string[] {
  if (schema === undefined) return ['its contract was removed: events of it are still stored'];
  return written === '' ? [] : breakingChanges(JSON.parse(written) as ContractSchema, schema);
}

export function committedSchemas(): ReadonlyMap<string, string> {
  const names = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));
  return new Map(names.map((name) => [name, readFileSync(join(FOLDER, name), 'utf8')]));
}

function main(options: { check: boolean }): void {
  mkdirSync(FOLDER, { recursive: true });
  const { contracts } = platformCatalogue({ namespace: 'surefire' });
  for (const { name, written, wanted, breaking } of schemaFiles(contracts, committedSchemas())) {
    if (breaking.length > 0) {
      console.error(`${name}: ${breaking.join('; ')}. Make it a new major version with an upcast.`);
      process.exitCode = 1;
    } else if (written !== wanted && options.check) {
      console.error(`${name} is not what the code says; run node scripts/schemas.ts`);
      process.exitCode = 1;
    } else if (written !== wanted) {
      writeFileSync(join(FOLDER, name), wanted);
      console.log(`wrote packages/events/schemas/${name}`);
    }
  }
}

if (import.meta.main) main({ check: process.argv.includes('--check') });
