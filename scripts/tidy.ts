/**
 * Holds the code to the architecture: who may import whom, who may write which table, who may know a
 * driver or the environment. One line per violation: `file:line  rule  what to do`.
 */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, dirname, join, posix } from 'node:path';
import { lineAt, readSource, type Source } from './tidy/source.ts';

export type Violation = { path: string; line: number; rule: string; advice: string };

/** Which packages each package may import; services may import every package, the program everything. */
const PACKAGES_BELOW: Readonly<Record<string, readonly string[]>> = {
  'packages/postgres': [],
  'packages/events': [],
  'packages/messaging': ['packages/postgres', 'packages/events'],
  'packages/service': ['packages/postgres', 'packages/events', 'packages/messaging'],
};

/** npm packages that only these paths may import. */
const DRIVERS: Readonly<Record<string, string>> = {
  pg: 'packages/postgres/',
  '@redis/client': 'packages/messaging/src/bus/redis',
  amqplib: 'packages/messaging/src/bus/rabbitmq',
  '@platformatic/kafka': 'packages/messaging/src/bus/kafka',
};

/** Besides every `config.ts`: how the test run tells its files where the server is. */
const ENVIRONMENT_READERS = ['packages/postgres/src/testing.ts', 'scripts/test.ts'];

const FOLDERS = ['packages', 'services', 'surefire', 'scripts', 'test', 'examples', 'bench', 'chaos'];

type Workspace = { folder: string; name: string; declared: Set<string>; development: Set<string> };
type Project = { root: Workspace; workspaces: Workspace[]; sources: Source[]; owners: Map<string, string> };

export function tidy(folder: string): Violation[] {
  const project = readProject(folder);
  const violations = [
    ...project.sources.flatMap((source) => [
      ...importRules(project, source),
      ...environmentRule(source),
      ...erasableRule(source),
      ...tableRule(project, source),
    ]),
    ...cycleRule(project.sources),
  ];
  return violations.toSorted((a, b) => a.path.localeCompare(b.path) || a.line - b.line);
}

function importRules(project: Project, source: Source): Violation[] {
  const own = workspaceOf(project, source.path);
  return source.imports.flatMap(({ specifier, line }) => {
    const found = (rule: string, advice: string): Violation => ({ path: source.path, line, rule, advice });
    if (specifier.startsWith('node:')) return [];
    if (specifier.startsWith('.')) {
      const target = workspaceOf(project, posix.join(posix.dirname(source.path), specifier));
      if (target === own || target === project.root) return [];
      return [found('public-name', `import ${target.name} by its name, not by a path into its folder`)];
    }

    const name = packageName(specifier);
    const target = project.workspaces.find((workspace) => workspace.name === name);
    const violations: Violation[] = [];
    if (target && target !== own && !mayImport(own.folder, target.folder)) {
      violations.push(
        found('layer', `${own.folder} may not import ${target.folder}; imports point downwards only`),
      );
    }
    if (name !== own.name && !isDeclared(project, own, source, name) && !(own === project.root && target)) {
      violations.push(found('declared', `add ${name} to ${posix.join(own.folder, 'package.json')}`));
    }
    const home = DRIVERS[name];
    if (home && !source.path.startsWith(home)) {
      violations.push(found('driver', `only ${home}… may know ${name}; go through what it exports`));
    }
    return violations;
  });
}

function mayImport(from: string, to: string): boolean {
  if (from === '' || from === 'surefire') return true;
  if (from.startsWith('services/')) return to.startsWith('packages/');
  return (PACKAGES_BELOW[from] ?? []).includes(to);
}

/** Tests may also use the tools that the whole workspace is tested with. */
function isDeclared({ root }: Project, own: Workspace, source: Source, name: string): boolean {
  return own.declared.has(name) || (isTest(source.path) && root.development.has(name));
}

function environmentRule(source: Source): Violation[] {
  if (basename(source.path) === 'config.ts' || ENVIRONMENT_READERS.includes(source.path)) return [];
  if (isTest(source.path)) return [];
  return everyMatch(source, source.code, /\bprocess\s*\.\s*env\b/g).map(({ line }) => ({
    path: source.path,
    line,
    rule: 'environment',
    advice: 'read it in config.ts, once, and take the value as an argument',
  }));
}

function erasableRule(source: Source): Violation[] {
  if (source.path.endsWith('.sql')) return [];
  return everyMatch(
    source,
    source.code,
    /^[ \t]*(?:export\s+|declare\s+|const\s+)*(enum|namespace)\s+\w+/gm,
  ).map(({ line, match }) => ({
    path: source.path,
    line,
    rule: 'erasable',
    advice: match[1] === 'enum' ? 'use a union of string literals' : 'use a module',
  }));
}

const WRITE =
  /\b(?:insert\s+into|update(?:\s+only)?|delete\s+from(?:\s+only)?|merge\s+into|truncate(?:\s+table)?|copy)\s+"?(\w+)"?/gi;

function tableRule({ owners }: Project, source: Source): Violation[] {
  const [folder] = /^(?:(?:packages|services)\/[^/]+|surefire)(?=\/)/.exec(source.path) ?? [];
  if (!folder || isTest(source.path)) return [];
  return everyMatch(source, source.text, WRITE).flatMap(({ line, match }) => {
    const table = match[1] ?? '';
    const owner = owners.get(table);
    if (!owner || owner === folder) return [];
    const advice = `${table} belongs to ${owner}; let it do the writing`;
    return [{ path: source.path, line, rule: 'table', advice }];
  });
}

/** Every cycle of files that load each other is reported once, at the import that closes it. */
function cycleRule(sources: Source[]): Violation[] {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const done = new Set<string>();
  const violations: Violation[] = [];

  const visit = (source: Source, trail: string[]): void => {
    const here = [...trail, source.path];
    for (const { specifier, line, typeOnly } of source.imports) {
      if (typeOnly || !specifier.startsWith('.')) continue;
      const target = byPath.get(posix.join(posix.dirname(source.path), specifier));
      if (!target) continue;
      const start = here.indexOf(target.path);
      if (start >= 0) {
        const cycle = [...here.slice(start), target.path].map((path) => posix.basename(path)).join(' → ');
        violations.push({ path: source.path, line, rule: 'cycle', advice: `break ${cycle}` });
      } else if (!done.has(target.path)) visit(target, here);
    }
    done.add(source.path);
  };
  for (const source of sources) if (!done.has(source.path)) visit(source, []);
  return violations;
}

function readProject(folder: string): Project {
  const root = readWorkspace(folder, '');
  const { workspaces: patterns = [] } = readPackage(folder);
  const workspaces = patterns
    .flatMap((pattern) => globSync(pattern, { cwd: folder }))
    .filter((path) => existsSync(join(folder, path, 'package.json')))
    .map((path) => readWorkspace(folder, path));
  const sources = globSync([`{${FOLDERS.join(',')}}/**/*.{ts,sql}`], {
    cwd: folder,
    exclude: ['**/node_modules/**'],
  }).map((path) => readSource(path, readFileSync(join(folder, path), 'utf8')));
  return { root, workspaces, sources, owners: tableOwners(sources) };
}

function readWorkspace(root: string, folder: string): Workspace {
  const description = readPackage(join(root, folder));
  const { dependencies, peerDependencies, optionalDependencies, devDependencies } = description;
  const development = new Set(Object.keys({ ...devDependencies }));
  const declared = new Set(
    Object.keys({ ...dependencies, ...peerDependencies, ...optionalDependencies, ...devDependencies }),
  );
  return { folder, name: description.name, declared, development };
}

/** A table belongs to the workspace whose migrations create it. */
function tableOwners(sources: Source[]): Map<string, string> {
  const owners = new Map<string, string>();
  for (const source of sources) {
    const [, folder] = /^((?:packages|services)\/[^/]+)\/(?:src\/)?migrations\//.exec(source.path) ?? [];
    if (!folder) continue;
    const created = /\bcreate\s+(?:unlogged\s+)?table\s+(?:if\s+not\s+exists\s+)?"?(\w+)"?/gi;
    for (const [, table] of source.text.matchAll(created)) if (table) owners.set(table, folder);
  }
  return owners;
}

function everyMatch(
  source: Source,
  text: string,
  pattern: RegExp,
): { line: number; match: RegExpMatchArray }[] {
  return [...text.matchAll(pattern)].map((match) => ({ line: lineAt(source.code, match.index), match }));
}

/** The deepest workspace that holds the path; the root for everything else. */
function workspaceOf({ root, workspaces }: Project, path: string): Workspace {
  return workspaces.find(({ folder }) => path.startsWith(`${folder}/`)) ?? root;
}

function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

function isTest(path: string): boolean {
  return path.split('/').includes('test');
}

type Package = {
  name: string;
  workspaces?: string[];
  dependencies?: object;
  peerDependencies?: object;
  optionalDependencies?: object;
  devDependencies?: object;
};

function readPackage(folder: string): Package {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
}

if (import.meta.main) {
  const violations = tidy(dirname(import.meta.dirname));
  for (const { path, line, rule, advice } of violations) console.log(`${path}:${line}  ${rule}  ${advice}`);
  process.exitCode = violations.length > 0 ? 1 : 0;
}
