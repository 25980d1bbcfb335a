// The README's table of options is the table in the source, no more and no less.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ignored, options } from '../../src/cli/options.ts';

const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');
const section = /^## Options$(.*?)^### /ms.exec(readme)?.[1] ?? '';

test('every option is in the table, and nothing else is', () => {
  const rows = section.split('\n').filter((line) => line.startsWith('| `'));
  const named = rows.flatMap((row) => {
    const cells = row.split(/(?<!\\) \| /);
    const words = row.startsWith('| `nodev`') ? `${cells[0]} ${cells[1]}` : (cells[0] ?? '');
    return [...words.matchAll(/`([a-z_]+)(?:=[^`]*)?`/g)].map((match) => match[1]);
  });
  expect(named.sort()).toEqual(options.map((option) => option.name).sort());
});

test('every ignored option is named', () => {
  const list = /`(_netdev[^`]*)`/.exec(section)?.[1]?.split(/\s+/) ?? [];
  expect(list.sort()).toEqual([...ignored, 'x-*', 'comment=*'].sort());
});
