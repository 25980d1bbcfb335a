// Two clients append lines to one file of a real server at once, each under the server's lock of the file: every line
// of both is there, whole, whatever the server makes of O_APPEND, and that is found out as it is.

import { randomInt } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { AppendOptions } from '../../src/client/append.ts';
import type { Fid } from '../../src/client/fids.ts';
import { connect, type Session } from '../../src/client/session.ts';
import { Abort } from '../../src/common/abort.ts';
import { pause } from '../../src/common/deadline.ts';
import { LOCK_EOF, LOCK_TYPE } from '../../src/common/locktable.ts';
import { hostTree } from '../../src/server/server.ts';
import { parseAddress } from '../../src/transport/address.ts';
import { OPEN } from '../../src/wire/p9/constants.ts';
import { missingPrograms, startDiod, startGanesha } from '../support/debian.ts';
import { embeddedPeer, type PeerServer } from '../support/exported.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';

const LINES = 200;
/** Milliseconds between two askings for a lock that another has. */
const ASK_AGAIN = 2;

interface Served {
  name: string;
  needs: string[];
  start(exported: string): Promise<PeerServer>;
  appendsAtEnd: boolean;
}

const servers: Served[] = [
  { name: 'the embedded server', needs: [], start: (at) => embeddedPeer(hostTree(at, {})), appendsAtEnd: true },
  { name: 'diod', needs: ['diod'], start: startDiod, appendsAtEnd: true },
  { name: 'nfs-ganesha', needs: ['ganesha.nfsd'], start: (at) => startGanesha(at), appendsAtEnd: false },
];

/** Work under the server's lock of a file, asked for through `fid`. */
function locking({ dialect }: Session, fid: Fid): AppendOptions['lock'] {
  const owner = { clientId: hostname(), procId: randomInt(1, 1 << 30), start: 0n, end: LOCK_EOF };
  const patience = new Abort();
  return async (work) => {
    while ((await dialect.lock(fid, { kind: LOCK_TYPE.WRLCK, ...owner })) === 'blocked')
      await pause(ASK_AGAIN, patience);
    try {
      return await work(true);
    } finally {
      await dialect.lock(fid, { kind: LOCK_TYPE.UNLCK, ...owner });
    }
  };
}

describe.skipIf(process.getuid?.() !== 0).each(servers)('$name', ({ needs, start, appendsAtEnd }) => {
  it('keeps every line of two clients that append at once', async ({ skip }) => {
    const missing = missingPrograms(...needs);
    if (missing !== null) skip(missing);
    const dir = await makeTempDir('append');
    const exported = join(dir, 'export');
    await mkdir(exported);
    await writeFile(join(exported, 'log'), 'begun\n');
    const server = await start(exported);
    const sessions: Session[] = [];
    try {
      for (let i = 0; i < 2; i++) sessions.push(await connect(parseAddress(server.address), { version: '9P2000.L' }));
      const writing = sessions.map(async (session, i) => {
        const { dialect, appending } = session;
        const root = await dialect.attach('root', server.aname, 0);
        const fid = await dialect.walk(root, ['log']);
        await dialect.open(fid, OPEN.WRONLY | OPEN.APPEND);
        const forLocks = await dialect.walk(root, ['log']);
        await dialect.open(forLocks, OPEN.RDWR);
        const lock = locking(session, forLocks);
        for (let n = 0; n < LINES; n++) {
          const line = Buffer.from(`client ${i} line ${n}\n`);
          expect(await appending.append(fid, line, { offset: 0, lock })).toMatchObject({ count: line.length });
        }
      });
      await Promise.all(writing);
      const [first, ...lines] = (await readFile(join(exported, 'log'), 'utf8')).trimEnd().split('\n');
      expect(first).toBe('begun');
      for (let i = 0; i < 2; i++) {
        const wanted = Array.from({ length: LINES }, (_, n) => `client ${i} line ${n}`);
        expect(lines.filter((line) => line.startsWith(`client ${i} `))).toEqual(wanted);
      }
      expect(lines).toHaveLength(2 * LINES);
      for (const { appending } of sessions) expect(appending).toMatchObject({ appendsAtEnd, refusesAppend: false });
    } finally {
      for (const session of sessions) session.close();
      await server.stop();
      await removeTempDir(dir);
    }
  });
});
