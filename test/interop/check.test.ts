// `ninefs check` against Debian's servers: what each of them does with every rule is kept in outcomes/, and the
// README's table is made from that. A difference is a new version of the server, or a rule that says something else
// than it did.

import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { rules } from '../../src/check/rules.ts';
import { check } from '../../src/check/runner.ts';
import { parseAddress } from '../../src/transport/address.ts';
import { connectSocket } from '../../src/transport/socket.ts';
import { compare, outcomesOf } from '../support/checkoutcomes.ts';
import { missingPrograms, startDiod, startGanesha } from '../support/debian.ts';
import type { TestServer } from '../support/serverprocess.ts';
import { withTempDir } from '../support/tempdir.ts';

/** For one rule; a server that was brought down has to be back by then. */
const TIMEOUT = 3000;
const WHOLE_RUN = 400_000;

/** Both of them die of some rules, and are started again. */
const kinds: Readonly<Record<string, { program: string; start: (dir: string) => Promise<TestServer> }>> = {
  diod: { program: 'diod', start: startDiod },
  ganesha: { program: 'ganesha.nfsd', start: (dir) => startGanesha(dir, { restart: true }) },
};

describe.each(Object.entries(kinds))('%s', (name, { program, start }) => {
  const missing = missingPrograms(program, 'setpriv') ?? (process.getuid?.() === 0 ? null : 'root');

  it.skipIf(missing !== null)(
    'does with each rule what is known of it, and nothing is left of them',
    () =>
      withTempDir(async (dir) => {
        const server = await start(dir);
        try {
          const report = await check({
            target: {
              dial: (signal) => connectSocket(parseAddress(server.address), { signal, timeout: TIMEOUT }),
              who: { uname: 'root', aname: dir, nUname: 0 },
              msize: 8216,
              timeout: TIMEOUT,
              hang: undefined,
            },
            rules,
            readOnly: false,
          });
          const { seen, expected } = compare(report.results, outcomesOf(name));
          expect(seen).toEqual(expected);
          expect(report.results.length).toBe(rules.length);
          expect(report.left).toBeUndefined();
          expect(readdirSync(dir)).toEqual([]);
        } finally {
          await server.stop();
        }
      }),
    WHOLE_RUN,
  );
});
