// The README's tables are what they are made from, no more and no less: the options in the source, and what is known of
// servers.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkOptions } from '../../src/cli/checkoptions.ts';
import { ignored, options } from '../../src/cli/options.ts';
import { BEHAVIOURS } from '../../src/server/server.ts';
import { readmeTables } from '../support/checkoutcomes.ts';

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

test('the tables of what servers do are those that the interop tests hold them to', () => {
  const shown = /^### What servers do$(.*?)^## /ms.exec(readme)?.[1] ?? '';
  const lines = (text: string) => text.split('\n').filter((line) => line.startsWith('|'));
  expect(lines(shown)).toEqual(lines(readmeTables()));
});

test('the options of check are named', () => {
  const shown = /^## Checking a server$(.*?)^### /ms.exec(readme)?.[1] ?? '';
  for (const { name } of checkOptions) expect(shown).toContain(`${name}=`);
});

test('every value of what the server can be told to behave like is in the table, and nothing else is', () => {
  const shown = /^### A server that behaves like others$(.*?)^## /ms.exec(readme)?.[1] ?? '';
  const rows = [...shown.matchAll(/^\| `--(\w+)=([\w-]+)` \|/gm)].map(([, option, value]) => `${option}=${value}`);
  const known = Object.entries(BEHAVIOURS).flatMap(([option, values]) => values.map((value) => `${option}=${value}`));
  expect(rows).toEqual(known);
});
