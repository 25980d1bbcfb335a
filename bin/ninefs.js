#!/usr/bin/env node
// Starts the built command. No logic: what it does is src/cli/main.ts.

// without a listener Node opens its inspector at this signal, to everybody on this machine
process.on('SIGUSR1', () => undefined);
const { run } = await import('../dist/cli/main.js').catch((error) => {
  if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  process.stderr.write('ninefs: not built yet: run "npm ci" and "npm run build" in its directory\n');
  process.exit(1);
});
await run(process.argv);
