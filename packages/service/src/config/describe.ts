/** The settings in words: for `--help`, and for the reference page. */
import { SETTINGS, type Setting } from './settings.ts';

/** Plain text for a terminal: one paragraph per variable. */
export function describeSettings(): string {
  return SETTINGS.map((setting) =>
    [
      setting.variable,
      `    ${plain(setting.meaning)}.`,
      `    Allowed: ${setting.allowed}.`,
      `    Default: ${plain(defaultOf(setting))}.`,
    ].join('\n'),
  )
    .concat('Every variable can come from a file instead: NAME_FILE=/path/to/file.')
    .join('\n\n');
}

/** A Markdown table for `docs/reference/configuration.md`. */
export function settingsMarkdown(): string {
  const rows = SETTINGS.map(
    (setting) =>
      `| \`${setting.variable}\` | ${setting.meaning} | ${setting.allowed} | ${
        setting.default === undefined ? defaultOf(setting) : `\`${setting.default}\``
      } |`,
  );
  return ['| Variable | Meaning | Allowed | Default |', '|---|---|---|---|', ...rows, ''].join('\n');
}

const defaultOf = (setting: Setting) => setting.default ?? setting.unset ?? 'none';
const plain = (text: string) => text.replaceAll('`', '');
