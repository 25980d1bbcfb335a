// Lets a child process run TypeScript as it stands: node --import test/support/ts.mjs file.ts
// Types are stripped in memory by the transformer that the test runner already brings, so no build has to be up to date.

import { register } from 'node:module';

register('./ts-hooks.mjs', import.meta.url);
