#!/usr/bin/env node
// Starts the built command. No logic: what it does is src/cli/main.ts.

import { existsSync } from 'node:fs';

const main = new URL('../dist/cli/main.js', import.meta.url);
if (existsSync(main)) {
  const { run } = await import(main.href);
  await run(process.argv);
} else {
  process.stderr.write('ninefs: not built yet: run `npm ci && npm run build` in its directory\n');
  process.exitCode = 1;
}
