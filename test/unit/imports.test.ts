// The one-way rule between the folders of src/, and the rules on how files import each other, read from the sources.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const src = resolve(import.meta.dirname, '../../src');

/** Which folders each may import, beside itself. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  common: [],
  wire: ['common'],
  transport: ['common', 'wire'],
  client: ['common', 'wire', 'transport'],
  server: ['common', 'wire', 'transport'],
  check: ['common', 'wire', 'transport'],
  trace: ['common', 'wire', 'transport'],
  fuse: ['common', 'wire'],
  bridge: ['common', 'wire', 'transport', 'client', 'fuse'],
  cli: ['common', 'wire', 'transport', 'bridge', 'server', 'check', 'trace', 'fuse'],
  'index.ts': ['common', 'transport', 'client', 'server', 'bridge'],
};

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));

function importsOf(file: string): string[] {
  const text = readFileSync(join(src, file), 'utf8');
  const found = [...text.matchAll(/^\s*(?:import|export)\s[^;]*?from\s+'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/gm)];
  return found.map((match) => match[1] ?? match[2] ?? '');
}

const folderOf = (path: string) => path.split('/')[0] ?? '';

test('there is something to check', () => {
  expect(files.length).toBeGreaterThan(20);
  expect(files.flatMap(importsOf).length).toBeGreaterThan(50);
});

test('imports go one way', () => {
  const wrong: string[] = [];
  for (const file of files) {
    const from = folderOf(file);
    for (const target of importsOf(file)) {
      if (!target.startsWith('.')) continue;
      const to = folderOf(relative(src, resolve(dirname(join(src, file)), target)));
      if (to !== from && !(allowed[from] ?? []).includes(to)) wrong.push(`${file} imports ${target}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('every folder has a rule', () => {
  expect([...new Set(files.map(folderOf))].filter((folder) => allowed[folder] === undefined)).toEqual([]);
});

test('wire and common do no I/O and do not log', () => {
  const wrong = files
    .filter((file) => /^(common|wire)\//.test(file))
    .flatMap((file) => importsOf(file).map((target) => `${file} imports ${target}`))
    .filter((line) => /node:(?!buffer)/.test(line));
  expect(wrong).toEqual([]);
});

test('relative imports name the .ts file', () => {
  const wrong = files.flatMap((file) =>
    importsOf(file)
      .filter((target) => target.startsWith('.') && !target.endsWith('.ts'))
      .map((target) => `${file} imports ${target}`),
  );
  expect(wrong).toEqual([]);
});
