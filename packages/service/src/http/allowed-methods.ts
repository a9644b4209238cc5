/** Which methods a path has, for 405 and its `Allow` (RFC 9110 §15.5.6). Used only once no route was found. */

export interface AllowedMethods {
  /** Takes note of a route: its template (`/accounts/:id`) and methods. */
  add(template: string, methods: string | readonly string[]): void;
  /** The methods of every template that the path matches, sorted; none when there is no such path. */
  of(path: string): string[];
}

export function createAllowedMethods(): AllowedMethods {
  const templates = new Map<string, { segments: string[]; methods: Set<string> }>();
  return {
    add(template, methods) {
      const entry = templates.get(template) ?? { segments: template.split('/'), methods: new Set() };
      for (const method of [methods].flat()) entry.methods.add(method);
      templates.set(template, entry);
    },
    of(path) {
      const segments = path.split('/');
      const allowed = new Set<string>();
      for (const entry of templates.values()) {
        if (!matches(entry.segments, segments)) continue;
        for (const method of entry.methods) allowed.add(method);
      }
      return [...allowed].toSorted();
    },
  };
}

function matches(template: readonly string[], path: readonly string[]): boolean {
  if (template.at(-1) === '*') {
    const fixed = template.slice(0, -1);
    return path.length >= template.length && matches(fixed, path.slice(0, fixed.length));
  }
  if (template.length !== path.length) return false;
  return template.every((segment, index) => {
    return segment.startsWith(':') ? path[index] !== '' : segment === path[index];
  });
}
