/**
 * A source file as the rules look at it: the code without what merely looks like code (comments, and
 * what stands in strings), the text without comments, and the imports with their lines.
 *
 * A scanner of sixty lines and not the compiler, whose newest version has no interface for programs.
 */

export type Import = {
  specifier: string;
  line: number;
  /** `import type`: gone when the program runs. */
  typeOnly: boolean;
};

export type Source = {
  /** From the root of the checkout, with forward slashes. */
  path: string;
  /** Same length and lines as the file; comments and the contents of strings are blank. */
  code: string;
  /** Same length and lines as the file; comments are blank, strings are not. */
  text: string;
  imports: Import[];
};

export function readSource(path: string, text: string): Source {
  const { code, uncommented } = path.endsWith('.sql') ? scanSql(text) : scan(text);
  return { path, code, text: uncommented, imports: path.endsWith('.sql') ? [] : importsOf(code, text) };
}

export function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}

const STATIC_IMPORT = /\b(?:import|export)\b(?:[^'"`;()]*?\bfrom)?\s*(['"])([^'"`]*)\1/g;
const DYNAMIC_IMPORT = /\bimport\s*\(\s*(['"])([^'"`]*)\1/g;

function importsOf(code: string, text: string): Import[] {
  const found: Import[] = [];
  for (const pattern of [STATIC_IMPORT, DYNAMIC_IMPORT]) {
    for (const match of code.matchAll(pattern)) {
      // The contents of strings are blank in `code`, and of the same length.
      const end = match.index + match[0].length - 1;
      const start = end - (match[2]?.length ?? 0);
      const typeOnly = /^\w+\s+type\b/.test(match[0]);
      found.push({ specifier: text.slice(start, end), line: lineAt(text, start), typeOnly });
    }
  }
  return found;
}

/** After one of these a slash begins a regular expression, and is no division. */
const BEFORE_REGEX = /(?:^|[([{,;=:!&|?+\-*%~^<>\n]|\b(?:return|typeof|case|in|of))\s*$/;
const REGEX = /^\/(?![*/])(?:\\.|\[(?:\\.|[^\]\n])*\]|[^/\\[\n])+\//;

function scan(text: string): { code: string; uncommented: string } {
  let code = '';
  let uncommented = '';
  let at = 0;
  // Per open template literal, the depth of braces inside the `${` that is being read.
  const templates: number[] = [];

  const take = (length: number, kind: 'code' | 'string' | 'comment'): void => {
    const piece = text.slice(at, at + length);
    const blank = piece.replaceAll(/[^\n]/g, ' ');
    code += kind === 'code' ? piece : blank;
    uncommented += kind === 'comment' ? blank : piece;
    at += length;
  };
  const lengthOf = (pattern: RegExp): number => pattern.exec(text.slice(at))?.[0].length ?? 0;
  const takeTemplateText = (): void => {
    take(lengthOf(/^(?:\\[\s\S]|\$(?!\{)|[^`\\$])*/), 'string');
    if (text.startsWith('${', at)) {
      take(2, 'code');
      templates.push(0);
    } else take(1, 'code');
  };

  while (at < text.length) {
    const character = text[at] ?? '';
    const depth = templates.at(-1);
    if (text.startsWith('//', at)) take(lengthOf(/^[^\n]*/), 'comment');
    else if (text.startsWith('/*', at)) take(lengthOf(/^\/\*[\s\S]*?(?:\*\/|$)/), 'comment');
    else if (character === "'" || character === '"') {
      take(1, 'code');
      take(lengthOf(character === "'" ? /^(?:\\[\s\S]|[^'\\\n])*/ : /^(?:\\[\s\S]|[^"\\\n])*/), 'string');
      take(1, 'code');
    } else if (character === '`') {
      take(1, 'code');
      takeTemplateText();
    } else if (character === '/' && BEFORE_REGEX.test(code.slice(-40)) && lengthOf(REGEX) > 0) {
      take(lengthOf(REGEX), 'string');
    } else if (character === '}' && depth === 0) {
      templates.pop();
      take(1, 'code');
      takeTemplateText();
    } else {
      if (depth !== undefined && character === '{') templates[templates.length - 1] = depth + 1;
      if (depth !== undefined && character === '}') templates[templates.length - 1] = depth - 1;
      take(1, 'code');
    }
  }
  return { code, uncommented };
}

function scanSql(text: string): { code: string; uncommented: string } {
  const blank = text.replaceAll(/--[^\n]*|\/\*[\s\S]*?\*\//g, (comment) => comment.replaceAll(/[^\n]/g, ' '));
  return { code: blank, uncommented: blank };
}
