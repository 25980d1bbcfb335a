// O_APPEND from several writers: every write is at the server's end of the file, whoever wrote last. On servers that append, on
// those that write at the offset they are told, and on one that refuses; under the server's lock where it has locks.

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { CacheMode } from '../../src/bridge/settings.ts';
import { hostTree, memoryTree } from '../../src/server/server.ts';
import { parseAddress } from '../../src/transport/address.ts';
import { missingPrograms, startDiod, startGanesha } from '../support/debian.ts';
import { embeddedPeer, type PeerServer } from '../support/exported.ts';
import { type Mounted, mounted } from '../support/mounted.ts';
import { output } from '../support/shell.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';

const LINES = 200;
/** Each line is one write, and fits into one message. */
const writer = (name: string) => `import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
for i in range(${LINES}):
    line = b'${name} %d ' % i + b'x' * (i * 7) + b'\\n'
    assert os.write(fd, line) == len(line)
os.close(fd)`;

interface Server {
  readonly name: string;
  readonly program?: string;
  start(dir: string): Promise<PeerServer>;
}

const memory: Server = { name: 'the memory tree', start: () => embeddedPeer(memoryTree()) };
const host: Server = { name: 'the host tree', start: (dir) => embeddedPeer(hostTree(dir, {})) };
const cases: readonly (Server & { cache: CacheMode })[] = [
  { ...memory, cache: 'auto' },
  { ...memory, cache: 'none' },
  { ...host, cache: 'auto' },
  {
    name: 'a server that writes at the offset',
    start: (dir) => embeddedPeer(hostTree(dir, {}), { append: 'offset' }),
    cache: 'auto',
  },
  {
    name: 'a server of paths that writes at the offset',
    start: () => embeddedPeer(memoryTree(), { append: 'offset', fids: 'path-io' }),
    cache: 'none',
  },
  {
    name: 'a server that refuses appends',
    start: (dir) => embeddedPeer(hostTree(dir, {}), { append: 'refuse' }),
    cache: 'auto',
  },
  { name: 'diod', program: 'diod', start: startDiod, cache: 'auto' },
  { name: 'nfs-ganesha', program: 'ganesha.nfsd', start: (dir) => startGanesha(dir), cache: 'auto' },
];

/** Two processes on each of two mounts. */
async function append(live: readonly Mounted[]): Promise<void> {
  const files = live.map(({ mountpoint }) => join(mountpoint, 'log'));
  await Promise.all(
    files.flatMap((file, mount) =>
      ['one', 'two'].map((who) => output(`python3 -c "${writer(`${mount}-${who}`)}" ${file}`)),
    ),
  );
  for (const file of files) {
    const lines = (await output(`cat ${file}`)).trimEnd().split('\n');
    const wanted = ['0-one', '0-two', '1-one', '1-two'].flatMap((name) =>
      Array.from({ length: LINES }, (_, i) => `${name} ${i} ${'x'.repeat(i * 7)}`),
    );
    // told by what is wrong, not by a page of letters
    const counted = new Set(lines);
    expect({
      lines: lines.length,
      missing: wanted.filter((line) => !counted.has(line)).map((line) => line.slice(0, 12)),
    }).toEqual({ lines: wanted.length, missing: [] });
  }
}

describe.skipIf(!existsSync('/dev/fuse') || process.getuid?.() !== 0).each(cases)(
  'appending on $name, cache=$cache',
  ({ program, start, cache }) => {
    const missing = program === undefined ? null : missingPrograms(program);
    test.skipIf(missing !== null)('from two processes on each of two mounts loses and breaks no line', async () => {
      const dir = await makeTempDir('append');
      const directory = join(dir, 'export');
      await mkdir(directory);
      const { address, aname, stop } = await start(directory);
      const live: Mounted[] = [];
      try {
        for (let i = 0; i < 2; i++) {
          const settings = { address: parseAddress(address), aname, cache, access: 'client' } as const;
          live.push(await mounted(join(dir, `${i}`), settings));
        }
        await append(live);
        for (const one of live) await one.checkLeaks();
      } finally {
        for (const { mount } of live) await mount.unmount({ lazy: true });
        await stop();
        await removeTempDir(dir);
      }
    });
  },
);
