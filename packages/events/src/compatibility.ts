/**
 * What may change within a major version. Two rules decide:
 *
 *   1. Whatever fitted before fits now: events that were written stay readable, in the log, in waiting rooms, in
 *      dead letters. So bounds and enumerations only widen, and no new member is required.
 *   2. What consumers rely on stays: members are neither removed nor made optional, and delivery, topic, key,
 *      subject and aggregate remain.
 *
 * Anything else is a new major version with an upcast. What cannot be judged counts as breaking.
 *
 * A widened member is refused by processes that are older than it; their events wait for newer ones. So consumers
 * are deployed before producers use the room.
 */
import { isDeepStrictEqual } from 'node:util';
import { Check } from 'typebox/schema';
import type { ContractSchema, JsonSchema } from './schema.ts';

const ROUTING = ['x-delivery', 'x-topic', 'x-aggregate', 'x-key', 'x-subject'] as const;
const LOWER_BOUNDS = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties'];
const UPPER_BOUNDS = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties'];
const CONSTRAINTS = ['pattern', 'format'];
/** Judged by rules of their own, or saying nothing about what fits. */
const SETTLED: readonly string[] = [
  'type const enum anyOf properties required items additionalProperties'.split(' '),
  '$schema $id $comment title description default examples deprecated'.split(' '),
  [...ROUTING, ...LOWER_BOUNDS, ...UPPER_BOUNDS, ...CONSTRAINTS],
].flat();

/** Why the second is not the same major version as the first, one sentence each; none when it is. */
export function breakingChanges(before: ContractSchema, after: ContractSchema): string[] {
  return [
    ...ROUTING.filter((name) => !isDeepStrictEqual(before[name], after[name])).map(
      (name) => `${name.slice(2)} was ${show(before[name])} and is ${show(after[name])}`,
    ),
    ...schemaChanges('data', before, after),
  ];
}

function schemaChanges(path: string, before: JsonSchema, after: JsonSchema): string[] {
  return [
    ...typeChanges(path, before, after),
    ...boundChanges(path, before, after),
    ...memberChanges(path, before, after),
    ...(before.items === undefined && after.items === undefined
      ? []
      : schemaChanges(`${path}[]`, before.items ?? {}, after.items ?? {})),
    ...keywordsOf(before, after)
      .filter((keyword) => !SETTLED.includes(keyword) && !isDeepStrictEqual(before[keyword], after[keyword]))
      .map((keyword) => `${path}: ${keyword} changed, and no rule says whether that is safe`),
  ];
}

/** Types, listed values, and alternatives. */
function typeChanges(path: string, before: JsonSchema, after: JsonSchema): string[] {
  const values = valuesOf(before);
  if (values !== undefined) {
    const lost = values.filter((value) => !Check(after, value));
    return lost.map((value) => `${path}: ${show(value)} is no longer allowed`);
  }
  const allowed = valuesOf(after);
  if (allowed !== undefined) return [`${path}: only ${allowed.map(show).join(', ')} is allowed now`];
  if (before.anyOf !== undefined || after.anyOf !== undefined) {
    const alternatives = after.anyOf ?? [after];
    const lost = (before.anyOf ?? [before]).filter((each) =>
      alternatives.every((other) => schemaChanges(path, each, other).length > 0),
    );
    return lost.map((each) => `${path}: ${show(each)} is no longer an alternative`);
  }
  const types = typesOf(after);
  const lost =
    types === undefined ? [] : [...(typesOf(before) ?? ['any'])].filter((type) => !types.has(type));
  return lost.map((type) => `${path}: ${type} is no longer a type of it`);
}

function boundChanges(path: string, before: JsonSchema, after: JsonSchema): string[] {
  if (valuesOf(before) !== undefined || before.anyOf !== undefined || after.anyOf !== undefined) return [];
  const narrower = (keyword: string, sign: 1 | -1): boolean => {
    const [was, is] = [before[keyword], after[keyword]] as (number | undefined)[];
    return is !== undefined && (was === undefined || Math.sign(is - was) === sign);
  };
  return [
    ...LOWER_BOUNDS.filter((keyword) => narrower(keyword, 1)),
    ...UPPER_BOUNDS.filter((keyword) => narrower(keyword, -1)),
    // Whether one pattern allows all that another did is not for us to tell.
    ...CONSTRAINTS.filter((keyword) => after[keyword] !== undefined && after[keyword] !== before[keyword]),
  ].map((keyword) => `${path}: ${keyword} was ${show(before[keyword])} and is ${show(after[keyword])}`);
}

function memberChanges(path: string, before: JsonSchema, after: JsonSchema): string[] {
  const was = before.properties ?? {};
  const is = after.properties ?? {};
  const required = new Set(after.required);
  const wasRequired = new Set(before.required);
  return [
    ...Object.entries(was).flatMap(([name, member]) => {
      const now = is[name];
      if (now === undefined) return [`${path}.${name} was removed`];
      if (wasRequired.has(name) && !required.has(name)) return [`${path}.${name} became optional`];
      return schemaChanges(`${path}.${name}`, member, now);
    }),
    ...[...required]
      .filter((name) => !wasRequired.has(name))
      .map((name) => `${path}.${name} is required now`),
    ...(open(after) || isDeepStrictEqual(before['additionalProperties'], after['additionalProperties'])
      ? []
      : [`${path} allows fewer other members now`]),
  ];
}

function open(schema: JsonSchema): boolean {
  return (schema['additionalProperties'] ?? true) === true;
}

/** All values that fit, when the schema lists them. */
function valuesOf(schema: JsonSchema): readonly unknown[] | undefined {
  if ('const' in schema) return [schema['const']];
  if (Array.isArray(schema['enum'])) return schema['enum'];
  const alternatives = schema.anyOf?.map(valuesOf);
  return alternatives?.every((values) => values !== undefined) ? alternatives.flat() : undefined;
}

/** Undefined when any type fits. Whole numbers are numbers. */
function typesOf({ type }: JsonSchema): ReadonlySet<string> | undefined {
  if (type === undefined) return undefined;
  const types = new Set([type].flat());
  if (types.has('number')) types.add('integer');
  return types;
}

function keywordsOf(...schemas: readonly JsonSchema[]): string[] {
  return [...new Set(schemas.flatMap((schema) => Object.keys(schema)))];
}

function show(value: unknown): string {
  return value === undefined ? 'absent' : JSON.stringify(value);
}
