/** The pages say what is: reference, links, paths, commands, settings, metrics and routes are compared with the code. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { platformCatalogue } from '@surefire/events';
import { messagingMetrics } from '@surefire/messaging';
import { connect, type Queryable } from '@surefire/postgres';
import { type Config, createMetrics, type Metrics, PROBLEMS, readConfig } from '@surefire/service';
import { readRoutes, referencePages, writtenPage } from '../scripts/reference.ts';

const ROOT = join(import.meta.dirname, '..');

/** The program exports nothing as a package: its parts are reached as files. */
type Command = { name(): string; commands: readonly Command[]; options: readonly { long?: string }[] };
const program = async <Part>(file: string) =>
  (await import(pathToFileURL(join(ROOT, 'surefire/src', file)).href)) as Part;
const { createProgram } = await program<{
  createProgram: (options: { settings: string; onEnd: () => void }) => Command;
}>('main.ts');
const { availableRoles } = await program<{ availableRoles: (config: Config) => readonly string[] }>(
  'roles.ts',
);
const { watchOutbox } = await program<{
  watchOutbox: (options: { db: Queryable; metrics: Metrics; countMax: number }) => void;
}>('gauges.ts');

const PAGES = globSync(['*.md', 'docs/**/*.md'], { cwd: ROOT }).toSorted();
const textOf = (page: string) => readFileSync(join(ROOT, page), 'utf8');

/** Every find of a pattern's first group in all pages (or some), as `page: find`. */
function findAll(pattern: RegExp, pages: readonly string[] = PAGES): { page: string; find: string }[] {
  return pages.flatMap((page) =>
    [...textOf(page).matchAll(pattern)].map((match) => ({ page, find: match[1] as string })),
  );
}

function assertAll(
  finds: readonly { page: string; find: string }[],
  holds: (find: string, page: string) => boolean,
): void {
  assert.ok(finds.length > 0, 'nothing was found to check');
  const wrong = finds
    .filter(({ find, page }) => !holds(find, page))
    .map(({ page, find }) => `${page}: ${find}`);
  assert.deepEqual([...new Set(wrong)], []);
}

describe('the reference', async () => {
  for (const [name, text] of await referencePages()) {
    it(`docs/reference/${name} is what the code says (if not: node scripts/reference.ts)`, () => {
      assert.equal(writtenPage(name), text);
    });
  }
});

describe('links and paths', () => {
  it('lead to files that exist, and to headings that are there', () => {
    const links = findAll(/\]\(([^)\s]+)\)/g).filter(({ find }) => !/^https?:/.test(find));
    assertAll(links, (link, page) => {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? page : normalize(join(dirname(page), path));
      if (!existsSync(join(ROOT, target))) return false;
      return anchor === undefined || headingsOf(target).includes(anchor);
    });
  });

  it('name files and folders that exist', () => {
    const folders = 'packages|services|surefire|scripts|docs|test';
    // Not inside a longer path, a URL or a package name; patterns with placeholders are no paths.
    const paths = findAll(new RegExp(`(?<![\\w@/.:-])((?:${folders})/[\\w./-]*[\\w/])(?![\\w*<])`, 'g'));
    assertAll(
      paths.filter(({ find }) => !/\/(?:NNNN|migrations\/NNNN)/.test(find)),
      (path) => existsSync(join(ROOT, path)),
    );
  });

  it('name test files by paths that hold tests', () => {
    const tests = findAll(/`([\w./-]+\.test\.ts)`/g).filter(({ find }) => find.includes('/'));
    assertAll(tests, (path) => existsSync(join(ROOT, path)) && textOf(path).includes('it('));
  });
});

describe('commands', () => {
  const surefire = createProgram({ settings: '', onEnd: () => {} });

  it('of npm exist in package.json', () => {
    const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> };
    assertAll(findAll(/\bnpm run ([\w:-]+)/g), (name) => name in scripts);
    assertAll(findAll(/\bnpm (start|test)\b/g), (name) => name in scripts);
  });

  it('of the program exist, with their options', () => {
    const lines = findAll(/(?:npx |`)surefire ([a-z-][^`\n|#]*)/g);
    assertAll(lines, (line) => {
      const words = line.trim().split(/\s+/);
      let command = surefire;
      while (words.length > 0) {
        const next = command.commands.find((each) => each.name() === words[0]?.replace(/[.,;:)]+$/, ''));
        if (next === undefined) break;
        command = next;
        words.shift();
      }
      if (command === surefire && !/^(?:--help|--version)/.test(words[0] ?? '')) return false;
      return words
        .filter((word) => word.startsWith('--'))
        .every((word) => word === '--help' || command.options.some(({ long }) => long === word));
    });
  });

  it('run roles that this version has', () => {
    const roles = availableRoles(readConfig({}));
    const named = findAll(/surefire run ([a-z][a-z ]*[a-z])/g).flatMap(({ page, find }) =>
      find.split(' ').map((role) => ({ page, find: role })),
    );
    assertAll(named, (role) => roles.includes(role));
  });
});

describe('names', () => {
  it('of settings are settings', () => {
    assertAll(findAll(/\b(SUREFIRE_[A-Z_]*[A-Z])\b/g), (name) => {
      try {
        readConfig({ [name]: '' });
        return true;
      } catch (error) {
        // An empty value or file is refused for other reasons; what counts is that the name is known.
        return !/is not a setting/.test((error as Error).message);
      }
    });
  });

  it('of problems are in the table', () => {
    const slugs = findAll(/\b(?:4\d\d|50\d) `([a-z]+(?:-[a-z]+)*)`/g);
    assertAll(slugs, (slug) => slug in PROBLEMS);
  });

  it('of events are in the catalogue', () => {
    const { contracts } = platformCatalogue({ namespace: 'surefire' });
    const known = new Set(contracts.map(({ name }) => name.split('.')[1]?.replaceAll('_', '')));
    const named = findAll(/`((?:Account|Deposit|Funds)[A-Z]\w+)`/g);
    assertAll(named, (name) => known.has(name.toLowerCase()));
  });

  it('of metrics in the operating guide are those of a running process, and none is left out', async () => {
    const metrics = createMetrics({ process: false });
    messagingMetrics(metrics.registry, { topics: [] });
    const db = connect({ url: 'postgres://127.0.0.1:1/none', max: 1 });
    metrics.watchPool(db.pool);
    watchOutbox({ db, metrics, countMax: 1 });
    const real = metrics.registry.getMetricsAsArray().map(({ name }) => name);
    const rows = textOf('docs/guides/operating.md').match(/^\| `[a-z_]+(?:\{[a-z,]+\})?` +\|.*$/gm) ?? [];
    const described = rows
      .flatMap((line) =>
        [...line.matchAll(/`([a-z]+(?:_[a-z]+)+)(?:\{[a-z,]+\})?`/g)].map((match) => match[1]),
      )
      .filter(
        (name) =>
          real.includes(name as string) ||
          /_(?:total|seconds|events|connections|callers)$/.test(name as string),
      );
    assert.deepEqual(new Set(described), new Set(real));
    await db.close();
  });
});

describe('the README', () => {
  it('calls routes that exist', async () => {
    const routes = (await readRoutes()).map(
      ({ method, path }) => new RegExp(`^${method} ${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`),
    );
    const calls = [
      ...textOf('README.md').matchAll(/\bcurl -[^\n]*?\$API(\/\S+)((?:[^\n]*\\\n)*[^\n]*)/g),
    ].map(([, path, rest = '']) => `${/\s-d\s/.test(rest) ? 'POST' : 'GET'} ${path}`);
    assert.ok(calls.length >= 4, 'the README shows a first deposit');
    assert.deepEqual(
      calls.filter((call) => !routes.some((route) => route.test(call))),
      [],
    );
  });

  it('names routes in prose that exist, as do all pages', async () => {
    const routes = (await readRoutes()).map(
      ({ method, path }) => `${method} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`,
    );
    assertAll(findAll(/\b((?:GET|POST|PUT|DELETE) \/[\w/:.{}-]*\w\}?)/g), (call) =>
      routes.includes(call.replaceAll(/\{(\w+)\}/g, ':$1')),
    );
  });
});

describe('lists', () => {
  it('of promises are whole: I1 to I18, each with its state', () => {
    const rows = [...textOf('ARCHITECTURE.md').matchAll(/^\| (I\d+) +\|[^|]+\| (Kept|Partly|Not yet)/gm)];
    assert.deepEqual(
      rows.map((row) => row[1]),
      Array.from({ length: 18 }, (_, index) => `I${index + 1}`),
    );
  });

  it('of decisions have every file, by its title, and every file has the four parts', () => {
    const folder = 'docs/decisions';
    const index = textOf(`${folder}/README.md`);
    const files = readdirSync(join(ROOT, folder)).filter((name) => /^\d{4}-/.test(name));
    files.toSorted().forEach((file, position) => {
      const text = textOf(`${folder}/${file}`);
      const title = /^# (\d+)\. (.+)$/m.exec(text);
      assert.equal(Number(title?.[1]), position + 1, file);
      assert.ok(index.includes(`| [${title?.[2]}](${file}) `), `${file} is not in the index`);
      for (const part of ['Context', 'Decision', 'Consequences', 'Rejected']) {
        assert.ok(text.includes(`\n## ${part}\n`), `${file} has no part ${part}`);
      }
    });
  });

  it('of licences and pages a repository needs are there', () => {
    for (const name of [
      'README.md',
      'ARCHITECTURE.md',
      'CONTRIBUTING.md',
      'CHANGELOG.md',
      'SECURITY.md',
      'LICENSE',
    ]) {
      assert.ok(statSync(join(ROOT, name)).size > 0, name);
    }
  });
});

/** Anchors as GitHub makes them from headings. */
function headingsOf(page: string): string[] {
  if (!page.endsWith('.md')) return [];
  return [...textOf(page).matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
