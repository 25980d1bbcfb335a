// Every message of every dialect, as Wireshark's dissector reads it: what our codec writes and what our server answers is
// whole to it, and says what was meant. It has two mistakes of its own (4.0): of a Tcreate of .u it reads four bytes of the
// extension, however long that is, and it looks for flags in Tgetlock and Rgetlock. Nothing else may be malformed.

import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { memoryTree, Server } from '../../src/server/server.ts';
import { memoryPair } from '../../src/transport/memory.ts';
import { listenSocket } from '../../src/transport/socket.ts';
import { DM, NOFID, OMODE } from '../../src/wire/p9/constants.ts';
import { missingPrograms } from '../support/debian.ts';
import { mounted } from '../support/mounted.ts';
import type { Pcap } from '../support/pcap.ts';
import { create, get, list, mkdir, open, put, stat, wstat } from '../support/plan9.ts';
import { Raw9p } from '../support/raw9p.ts';
import { recorded } from '../support/recorded.ts';
import { serveAny } from '../support/served.ts';
import { output } from '../support/shell.ts';
import { withTempDir } from '../support/tempdir.ts';

const missing = missingPrograms('tshark');

interface Said {
  /** How many replies came. */
  readonly replies: number;
  readonly pcap: Pcap;
}

/** A conversation with the memory tree. */
async function conversation(version: string, talk: (raw: Raw9p) => Promise<void>): Promise<Said> {
  const served = serveAny(memoryTree());
  const [ours, theirs] = memoryPair();
  const over = served.server.serveTransport(theirs);
  const { transport, pcap } = recorded(ours, 'client');
  const raw = new Raw9p(transport);
  try {
    await raw.version(8192, version);
    await raw.attach(0, 0, '', 'root');
    await talk(raw);
  } finally {
    transport.close();
    await over;
    await served.end();
  }
  return { replies: raw.log.length, pcap };
}

/** What the dissector says: for each packet the fields asked for. */
function dissect(pcap: Pcap, filter: string, ...fields: string[]): Promise<string[][]> {
  return withTempDir(async (dir) => {
    const file = join(dir, 'capture.pcap');
    writeFileSync(file, pcap.bytes);
    const args = ['-n', '-r', file, '-Y', filter, '-T', 'fields', '-E', 'occurrence=a'];
    const text = execFileSync('tshark', [...args, ...fields.flatMap((field) => ['-e', field])], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split('\t'));
  });
}

/** The message types of the packets that it cannot read. */
async function malformed(pcap: Pcap): Promise<string[]> {
  return (await dissect(pcap, '_ws.malformed || _ws.expert.severity >= 6291456', '9p.msgtype')).flat();
}

/** The types of all messages that it saw. */
async function messages(pcap: Pcap): Promise<number[]> {
  return (await dissect(pcap, '9p', '9p.msgtype')).flatMap(([cell = '']) => cell.split(',')).map(Number);
}

describe.skipIf(missing !== null)(`tshark${missing === null ? '' : ` (needs ${missing})`}`, () => {
  test.each(['9P2000.u', '9P2000'] as const)('%s', async (version) => {
    const extended = version === '9P2000.u';
    const { replies, pcap } = await conversation(version, async (raw) => {
      await raw.errno('Tauth', { afid: 9, uname: 'root', aname: '', nUname: 0 });
      await raw.errno('Tattach', { fid: 0, afid: NOFID, uname: 'root', aname: '', nUname: 0 });
      await raw.clunk(await mkdir(raw, 'dir'));
      await put(raw, 'dir-file', 'some text');
      const into = await raw.walk('dir');
      for (let i = 0; i < 30; i++) await raw.clunk(await create(raw, `entry-${i}`, { dir: into }));
      expect(await get(raw, 'dir-file')).toBe('some text');
      await list(raw, await open(raw, 'dir'), version, 2000);
      const fid = await open(raw, 'dir-file', OMODE.RDWR | OMODE.TRUNC);
      await raw.write(fid, Buffer.alloc(7000, 'x'));
      await raw.read(fid, 0, 8000);
      await stat(raw, fid);
      await wstat(raw, fid, {});
      await wstat(raw, fid, { name: 'other', mode: 0o600, length: 3, mtime: 1_000_000_000 });
      await stat(raw, fid);
      if (extended) {
        const special = (bit: number, extension: string) => ({ perm: bit | 0o644, mode: OMODE.READ, extension });
        await stat(raw, await create(raw, 'link', special(DM.SYMLINK, 'target')));
        await stat(raw, await create(raw, 'null', special(DM.DEVICE, 'c 1 3')));
        await stat(raw, await create(raw, 'hard', special(DM.LINK, `${fid}`)));
      }
      await raw.errno('Twalk', { fid: 0, newfid: 77, names: ['nothing'] });
      await raw.call('Twalk', { fid: 0, newfid: 78, names: ['dir', 'entry-1'] });
      await raw.call('Tremove', { fid: 78 });
      await raw.call('Tflush', { oldtag: 99 });
    });
    const types = await messages(pcap);
    expect(types.filter((type) => type % 2 === 1)).toHaveLength(replies);
    expect(types.filter((type) => type % 2 === 0)).toHaveLength(replies);
    const requests = [100, 102, 104, 108, 110, 112, 114, 116, 118, 120, 122, 124, 126];
    expect(requests.filter((type) => !types.includes(type))).toEqual([]);
    // a directory, a file, thirty entries: without an extension
    expect(await malformed(pcap)).toEqual(extended ? Array.from({ length: 32 }, () => '114') : []);
    const errors = (await dissect(pcap, '9p.ename', '9p.ename')).flat();
    expect(errors).toContain(extended ? 'No such file or directory' : 'file does not exist');
    const stats = await dissect(
      pcap,
      '9p.msgtype == 125',
      ...['9p.filename', '9p.statmode', '9p.length', '9p.user', '9p.group'],
    );
    expect(stats.slice(0, 2)).toEqual([
      ['dir-file', `${0o644}`, '7000', 'root', 'root'],
      ['other', `${0o600}`, '3', 'root', 'root'],
    ]);
  });

  test('9P2000.L', async () => {
    const { replies, pcap } = await conversation('9P2000.L', async (raw) => {
      const owner = { procId: 7, clientId: 'client' };
      const range = { start: 0n, length: 10n };
      await raw.errno('Tauth', { afid: 9, uname: 'root', aname: '', nUname: 0 });
      await raw.call('Tstatfs', { fid: 0 });
      await raw.call('Tmkdir', { dfid: 0, name: 'dir', mode: 0o755, gid: 0 });
      await raw.call('Tsymlink', { dfid: 0, name: 'link', target: '../some/where', gid: 0 });
      await raw.call('Treadlink', { fid: await raw.walk('link') });
      await raw.call('Tmknod', { dfid: 0, name: 'null', mode: 0o020644, major: 1, minor: 3, gid: 0 });
      const fid = await raw.create(0, 'file');
      await raw.write(fid, Buffer.alloc(7000, 'x'));
      await raw.read(fid, 0, 8000);
      await raw.call('Tfsync', { fid, datasync: 0 });
      await raw.getattr(fid);
      await raw.setattr(fid, {
        valid: 0x1 | 0x8 | 0x20 | 0x100,
        mode: 0o600,
        size: 3,
        mtime: 1_000_000_000,
        mtimeNsec: 5,
      });
      await raw.call('Tlock', { fid, kind: 1, flags: 0, ...range, ...owner });
      await raw.call('Tgetlock', { fid, kind: 1, ...range, ...owner, procId: 8 });
      await raw.call('Tlink', { dfid: 0, fid, name: 'hard' });
      await raw.call('Trenameat', { olddirfid: 0, oldname: 'hard', newdirfid: await raw.walk('dir'), newname: 'new' });
      await raw.call('Trename', { fid: await raw.walk('dir/new'), dfid: 0, name: 'back' });
      await raw.call('Tunlinkat', { dirfid: 0, name: 'back', flags: 0 });
      const value = await raw.walk('file');
      await raw.call('Txattrcreate', { fid: value, name: 'user.x', size: 5, flags: 0 });
      await raw.write(value, 'value');
      await raw.clunk(value);
      await raw.call('Txattrwalk', { fid, newfid: 50, name: 'user.x' });
      await raw.list(await raw.open('/'), 200);
      await raw.call('Tremove', { fid: await raw.walk('link') });
      await raw.errno('Twalk', { fid: 0, newfid: 77, names: ['nothing'] });
      await raw.call('Tflush', { oldtag: 99 });
    });
    const types = await messages(pcap);
    expect(types.filter((type) => type % 2 === 1)).toHaveLength(replies);
    const requests = [8, 12, 14, 16, 18, 20, 22, 24, 26, 30, 32, 40, 50, 52, 54, 70, 72, 74, 76];
    expect(requests.filter((type) => type !== 12 && !types.includes(type))).toEqual([]);
    expect(await malformed(pcap)).toEqual(['54', '55']);
    expect(types.filter((type) => type === 7)).toHaveLength(2);
    expect(await dissect(pcap, '9p.msgtype == 25', '9p.statmode', '9p.size', '9p.nlink')).toEqual([
      [`${0o100644}`, '7000', '1'],
    ]);
  });

  // what programs make a mount say
  test.skipIf(!existsSync('/dev/fuse') || process.getuid?.() !== 0).each([
    [
      '9P2000.L',
      ['54', '55'],
      'setfattr -n user.x -v value f; getfattr -d f > /dev/null; flock f true; ln -s f l; ln f h',
    ],
    ['9P2000.u', ['114'], 'ln -s f l; ln f h; readlink l; mkfifo p'],
    ['9P2000', [], 'true'],
  ] as const)('a mount over %s', (version, mayBeOdd, more) =>
    withTempDir(async (dir) => {
      const server = new Server({ tree: memoryTree() });
      const captures: Pcap[] = [];
      const listener = await listenSocket({ kind: 'tcp', host: '127.0.0.1', port: 0 }, (socket) => {
        const { transport, pcap } = recorded(socket, 'server');
        captures.push(pcap);
        void server.serveTransport(transport);
      });
      try {
        const live = await mounted(dir, { address: listener.address, version });
        try {
          await output(
            `set -e; cd ${live.mountpoint}; mkdir d; echo text > f; cat f; cp f d/g; mv d/g d/h; chmod 600 f; touch f; ls -l d;
            for i in $(seq 50); do : > d/file-$i; done; ls -la d; truncate -s 100000 f; dd if=f of=/dev/null bs=64k; df .;
            cat nothing 2> /dev/null || true; ${more}; sync f; rm -r d`,
          );
        } finally {
          await live.end();
        }
      } finally {
        await listener.close();
        await server.close();
      }
      expect(captures.length).toBeGreaterThan(0);
      for (const pcap of captures) {
        const types = await messages(pcap);
        expect(types.length).toBeGreaterThan(100);
        expect(types.filter((type) => type % 2 === 0).length).toBe(types.filter((type) => type % 2 === 1).length);
        const odd = await malformed(pcap);
        expect(odd.filter((type) => !mayBeOdd.some((known) => known === type))).toEqual([]);
      }
    }),
  );
});
