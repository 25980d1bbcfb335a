// Corners of the protocol: what a mount says on the wire while programs use it. One mount, one workload, and every message of
// it held to the rules; then single calls and the messages that they become.

import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NOTAG, OPEN, SETATTR } from '../../src/wire/p9/constants.ts';
import type { Message } from '../../src/wire/p9/messages.ts';
import { python } from '../support/posix.ts';
import { type Tapped, tapped } from '../support/wiretap.ts';

const able = existsSync('/dev/fuse') && process.getuid?.() === 0;

/** A bit of everything, in a directory of its own. */
const WORKLOAD = `
set -e
mkdir -p work/deep/er && cd work
for i in 1 2 3 4 5; do echo "text $i" > file$i; done
cat file1 file2 > both; cp both copy; mv copy deep/er/moved; ln file1 hard; ln -s file1 soft; readlink soft
echo more >> file3; : > file4; truncate -s 100000 file5; chmod 600 file5; touch -d 2001-02-03 file2
ls -laR . > deep/listing; find . -type f -exec cat {} + > /dev/null
rm -r deep/er; rmdir deep 2>/dev/null || rm -r deep; mkfifo fifo; rm fifo hard soft
dd if=/dev/zero of=big bs=1M count=3 2>/dev/null; dd if=big of=/dev/null bs=1M 2>/dev/null; sync -f . || true
stat -f . > /dev/null; rm -f *
`;

type Pair = { opened: Set<number>; clunking: Map<number, number>; busy: Set<number> };

/** What breaks a rule, in words; the messages are those of one connection from its beginning. */
function broken(heard: readonly { from: string; message: Message }[]): string[] {
  const found: string[] = [];
  const at: Pair = { opened: new Set(), clunking: new Map(), busy: new Set() };
  const asked = new Map<number, Message>();
  const bad = (message: Message, why: string) => found.push(`${message.type} tag ${message.tag}: ${why}`);
  for (const { from, message } of heard) {
    if (from === 'server') {
      const request = asked.get(message.tag);
      asked.delete(message.tag);
      if (request?.type === 'Tlopen' && message.type === 'Rlopen') at.opened.add(request.fid);
      if (request?.type === 'Tlcreate' && message.type === 'Rlcreate') at.opened.add(request.fid);
      if (request?.type === 'Tclunk') at.clunking.delete(request.fid);
      continue;
    }
    if (asked.has(message.tag)) bad(message, 'its tag is in use');
    asked.set(message.tag, message);
    if (message.type !== 'Tversion' && message.tag === NOTAG) bad(message, 'NOTAG');
    if (message.type === 'Tflush' && message.oldtag === message.tag) bad(message, 'flushes itself');
    for (const [field, value] of Object.entries(message)) {
      if (!/fid$/.test(field) || field === 'afid') continue;
      if (at.clunking.has(value as number)) bad(message, `${field} ${value}, whose clunk is not answered`);
    }
    if (message.type === 'Twalk' && at.opened.has(message.fid)) bad(message, `walks from the open fid ${message.fid}`);
    if (message.type === 'Twalk' && message.names.length > 16) bad(message, `${message.names.length} names`);
    for (const field of ['dirfid', 'dfid', 'olddirfid', 'newdirfid'] as const) {
      const fid = (message as unknown as Record<string, number>)[field];
      if (fid !== undefined && at.opened.has(fid)) bad(message, `${field} ${fid} is open`);
    }
    if (message.type === 'Tclunk' || message.type === 'Tremove') {
      at.opened.delete(message.fid);
      at.clunking.set(message.fid, message.tag);
    }
  }
  return found;
}

describe.skipIf(!able)('a mount', () => {
  let at: Tapped;

  beforeAll(async () => {
    at = await tapped('corners', { cache: 'none', allowOther: true, nodev: false });
    expect((await at.during('chmod 1777 .')).code).toBe(0);
    expect(await at.during(WORKLOAD)).toMatchObject({ code: 0, stderr: '' });
  });
  afterAll(() => at?.end());

  test.each([
    ['Cloning/walking an open fid', /walks from/],
    ['Tunlinkat with an open dirfid', /is open/],
    ['Async clunk', /whose clunk/],
    ['NOTAG / NOFID / NONUNAME', /NOTAG/],
    ['Tflush of Tflush, of own tag, of unknown tag', /flushes itself/],
    ['Walk > 16 names', /names/],
    ['fid number reuse races', /in use/],
  ])('%s: never in a workload of everything', (_corner, rule) => {
    expect(at.talk.asked.length).toBeGreaterThan(300);
    expect(broken(at.talk.heard).filter((line) => rule.test(line))).toEqual([]);
  });

  test('Tlcreate/Tcreate replaces fid: a file is created through a clone, and its name is walked to by another fid', async () => {
    const { code, talk } = await at.during('echo text > created');
    expect(code).toBe(0);
    const [made] = talk.all('Tlcreate');
    const steps = talk.all('Twalk', 'Tlcreate');
    const there = steps.findIndex(({ type }) => type === 'Tlcreate');
    const before = steps.slice(0, there).flatMap((step) => (step.type === 'Twalk' ? [step] : []));
    expect(before.findLast(({ newfid }) => newfid === made?.fid)).toMatchObject({ names: [] });
    const [after] = steps.slice(there + 1).flatMap((step) => (step.type === 'Twalk' ? [step] : []));
    expect(after).toMatchObject({ names: ['created'] });
    expect([after?.fid, after?.newfid]).not.toContain(made?.fid);
    expect((await at.during('cat created')).stdout).toBe('text\n');
  });

  test('open of O_TRUNC/O_CREAT race: a file is cut by its Tlopen, not before it', async () => {
    await at.during('echo text > full');
    const { talk } = await at.during(': > full');
    expect(talk.all('Tsetattr')).toEqual([]);
    expect(talk.all('Tlopen').map(({ flags }) => flags & OPEN.TRUNC)).toEqual([OPEN.TRUNC]);
    expect((await at.during('stat -c %s full')).stdout).toBe('0\n');
  });

  test('Tlopen flags: of all that a program can say, what means something to the server', async () => {
    const { code, talk } = await at.during(
      `${python} -c "import os
flags = os.O_RDWR | os.O_CREAT | os.O_DIRECT | os.O_NOATIME | os.O_CLOEXEC | os.O_NOCTTY | os.O_DSYNC | os.O_NONBLOCK
os.close(os.open('created', flags))"`,
    );
    expect(code).toBe(0);
    const [flags = 0] = talk.all('Tlopen').map((message) => message.flags);
    expect(flags & ~OPEN.LARGEFILE).toBe(OPEN.RDWR | OPEN.DSYNC | OPEN.NONBLOCK);
  });

  test('setattr time bits: touch takes the clock of the server, touch -d its own', async () => {
    const now = await at.during('touch created');
    const then = await at.during('touch -d 2001-02-03T04:05:06.789Z created');
    const { ATIME, MTIME, ATIME_SET, MTIME_SET } = SETATTR;
    expect(now.talk.all('Tsetattr')).toMatchObject([{ valid: ATIME | MTIME }]);
    const mtime = Date.UTC(2001, 1, 3, 4, 5, 6) / 1000;
    expect(then.talk.all('Tsetattr')).toMatchObject([
      { valid: ATIME | MTIME | ATIME_SET | MTIME_SET, mtime, mtimeNsec: 789_000_000 },
    ]);
  });

  test('msize vs I/O size: a mebibyte is one message, each way', async () => {
    const { talk } = await at.during(
      'dd if=/dev/zero of=big bs=1M count=2 2>/dev/null; dd if=big of=/dev/null bs=1M 2>/dev/null',
    );
    expect(talk.all('Twrite').map(({ data }) => data.length)).toEqual([1048576, 1048576]);
    expect(
      talk
        .all('Rread')
        .map(({ data }) => data.length)
        .filter((length) => length > 0),
    ).toEqual([1048576, 1048576]);
    expect(Math.max(...talk.heard.map(({ size }) => size))).toBeLessThan(1048576 + 24);
  });

  test('mknod majors: a device of large numbers comes back as it was made', async () => {
    const { stdout, talk } = await at.during('mknod dev b 259 70000 && stat -c "%t %T" dev');
    expect(talk.all('Tmknod')).toMatchObject([{ major: 259, minor: 70_000 }]);
    expect(stdout).toBe('103 11170\n');
  });

  test('No RENAME_NOREPLACE/EXCHANGE in .L: renameat2 is told EINVAL, and mv -n goes on without', async () => {
    const script = `${python} -c "import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for flags, name in ((1, b'elsewhere'), (2, b'full')):
    r = libc.renameat2(-100, b'created', -100, name, flags)
    print(r, os.strerror(ctypes.get_errno()))" && mv -n created elsewhere && cat elsewhere`;
    const { stdout, talk } = await at.during(script);
    expect(stdout).toBe('-1 Invalid argument\n-1 Invalid argument\ntext\n');
    expect(talk.all('Trenameat')).toHaveLength(1);
  });

  test('9pfuse "double entry" bug: a directory of one entry has one entry, beside the dots', async () => {
    const { stdout } = await at.during('mkdir one && : > one/only && ls -aU one | sort && ls -U one');
    expect(stdout).toBe('.\n..\nonly\nonly\n');
  });

  test('max names: 255 bytes, and not one more, whatever they spell', async () => {
    const long = 'ä'.repeat(127);
    const { code } = await at.during(`mkdir names && cd names && echo 1 > ${long}x && ls && cat ${long}x`);
    expect(code).toBe(0);
    const { stderr, talk } = await at.during(`echo > names/${long}xx`);
    expect(stderr).toContain('File name too long');
    expect(talk.all('Tlcreate')).toEqual([]);
  });

  test('access=user semantics: each user attaches once, on the one connection, and acts by fids of his own', async () => {
    const before = new Set(at.talk.all('Tattach').map(({ nUname }) => nUname));
    for (const uid of [1234, 65534, 1234]) {
      const { code, stderr } = await at.during(`echo hello > of${uid} && cat of${uid} && ls -l`, { uid, gid: uid });
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    }
    expect([...before]).not.toContain(1234);
    const attached = at.talk.all('Tattach').map(({ nUname }) => nUname);
    expect(attached.filter((uid) => uid === 1234)).toHaveLength(1);
    expect(attached.filter((uid) => uid === 65534)).toHaveLength(1);
    expect(at.serving?.stats.connections).toHaveLength(1);
    expect((await at.during('stat -c "%u %g" of1234')).stdout).toBe('1234 1234\n');
  });

  test('gid in create messages: the caller’s, and in a setgid directory that of the directory', async () => {
    const make = (dir: string) => `umask 0; cd ${dir} && echo > f && mkdir d && ln -s x l && mkfifo p`;
    await at.during('mkdir plain team && chmod 777 plain && chgrp 4321 team && chmod 2777 team');
    for (const [dir, gid] of [
      ['plain', 1234],
      ['team', 4321],
    ] as const) {
      const { code, stderr, talk } = await at.during(make(dir), { uid: 1234, gid: 1234 });
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const made = talk.all('Tlcreate', 'Tmkdir', 'Tsymlink', 'Tmknod');
      expect(made.map((message) => message.gid)).toEqual([gid, gid, gid, gid]);
      expect(talk.all('Tmkdir').map(({ mode }) => mode & 0o2000)).toEqual([dir === 'team' ? 0o2000 : 0]);
    }
    expect((await at.during('stat -c "%g %a" team/d team/f team/l')).stdout).toBe('4321 2777\n4321 666\n4321 777\n');
  });

  test('renameat -> rename -> wstat: open files and directories go on working under their new names', async () => {
    const script = `mkdir -p old/sub && echo text > old/sub/f && exec 3< old/sub/f 4>> old/sub/f && cd old/sub &&
      mv ../../old ../../new && echo more >&4 && cat <&3 && pwd -P && ls && cat f && cd ../.. && rm -r new && echo end >&4`;
    const { stdout, stderr } = await at.during(script);
    expect(stderr).toBe('');
    expect(stdout).toBe(`text\nmore\n${at.mountpoint}/new/sub\nf\ntext\nmore\n`);
  });

  test.each(['none', 'auto', 'loose'] as const)(
    'xattr: a hundred writes ask for no capability each, cache=%s',
    async (cache) => {
      const other = await tapped('capability', { cache });
      try {
        const { code, talk } = await other.during(
          `${python} -c "import os
fd = os.open('file', os.O_RDWR | os.O_CREAT)
for i in range(100): os.pwrite(fd, b'text', i * 5000)
os.close(fd)"`,
        );
        expect(code).toBe(0);
        expect(talk.all('Txattrwalk').length).toBeLessThanOrEqual(1);
        expect(talk.all('Twrite').length).toBeGreaterThan(0);
      } finally {
        await other.end();
      }
    },
  );

  test('timestamps: seconds before 1970 and after 2038, with their nanoseconds', async () => {
    for (const when of [
      '1902-01-01T00:00:00.000000001Z',
      '1969-12-31T23:59:59.999999999Z',
      '2500-06-07T08:09:10.111213141Z',
    ]) {
      const { stdout } = await at.during(`touch -d ${when} elsewhere && date -u -r elsewhere +%Y-%m-%dT%H:%M:%S.%NZ`);
      expect(stdout).toBe(`${when}\n`);
    }
  });
});
