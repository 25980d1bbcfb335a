// Builds dist/ before tests that run the command, when a source is newer than it.

import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');

const changed = (path: string) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

export function setup(): void {
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => [join(root, 'src', name), join(root, 'dist', name.replace(/\.ts$/, '.js'))] as const);
  if (sources.every(([source, built]) => changed(built) >= changed(source))) return;
  // a type error is shown, and is for the type check to judge: the code is written all the same
  spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
}
