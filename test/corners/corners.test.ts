// Every corner has its tests, and no test here is of a corner that is not in the table.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CORNERS } from './corners.ts';

const SUFFIX = '.test.ts';
const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith(SUFFIX) && name !== `corners${SUFFIX}`);
const texts = new Map(
  files.map((name) => [name.slice(0, -SUFFIX.length), readFileSync(join(import.meta.dirname, name), 'utf8')]),
);

/** What is quoted, in whatever quotes, and begins with the corner's title, alone or before a colon. */
function isIn(text: string, title: string): boolean {
  const quoted = [`'${title.replaceAll("'", "\\'")}`, `"${title}`, `\`${title}`];
  return quoted.some((begin) => text.includes(`${begin}: `) || text.includes(begin + begin[0]));
}

test('there are 57, each once', () => {
  expect(CORNERS).toHaveLength(57);
  expect(new Set(CORNERS.map(({ title }) => title)).size).toBe(57);
});

test.each(CORNERS)('$title is shown where the table says', ({ title, shown }) => {
  expect(shown.length).toBeGreaterThan(0);
  for (const name of shown) expect(isIn(texts.get(name) ?? '', title), name).toBe(true);
});

test('and every test beside the table is of one of them', () => {
  const begins = (text: string) => CORNERS.some(({ title }) => text === title || text.startsWith(`${title}: `));
  for (const [name, text] of texts) {
    const titles = [...text.matchAll(/^ *(?:test\(|\]\)\(|\)\(|test\.each.*\]\)\()\s*(['"`])(.*?)(?<!\\)\1/gm)].map(
      ([, , title = '']) => title.replaceAll("\\'", "'"),
    );
    expect(titles.length, name).toBeGreaterThan(2);
    for (const title of titles) if (!/^(\$\{corner\}|%s): /.test(title)) expect(begins(title), title).toBe(true);
  }
});
