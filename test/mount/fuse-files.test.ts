// The device driver under ordinary use, on a file system in memory: names, data, large requests, mmap, attributes.

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findMount } from '../../src/fuse/mountinfo.ts';
import { fopen } from '../../src/wire/fuse/constants.ts';
import { forgetNames } from '../support/forget.ts';
import { connection } from '../support/fuseconnection.ts';
import { fusectl } from '../support/fusectl.ts';
import { type ToyMount, toyMount, until, whyNoMounts } from '../support/toymount.ts';

const run = promisify(execFile);
const python = (script: string, ...args: string[]) => run('python3', ['-c', script, ...args], { timeout: 60_000 });

const modes = [
  { name: 'answers at once', later: false, openFlags: 0 },
  { name: 'answers later', later: true, openFlags: 0 },
  { name: 'direct I/O', later: true, openFlags: fopen.DIRECT_IO },
];

describe.skipIf(whyNoMounts() !== undefined).each(modes)('a mount that $name', ({ later, openFlags }) => {
  let toy: ToyMount;
  const at = (...names: string[]): string => join(toy.mountpoint, ...names);

  beforeAll(async () => {
    await fusectl();
    toy = await toyMount({ toy: { later, openFlags, ttl: 1 }, mount: { source: 'a b,c#\\d' } });
  });
  afterAll(() => toy[Symbol.asyncDispose]());

  test('shows its type and its source as given', async () => {
    expect(await findMount(toy.mountpoint)).toMatchObject({ type: 'fuse.ninefs', source: 'a b,c#\\d' });
    expect((await findMount(toy.mountpoint))?.options).toEqual(expect.arrayContaining(['nosuid', 'nodev']));
  });

  test('makes, lists, links, renames and removes', async () => {
    await fs.mkdir(at('dir'), { mode: 0o750 });
    await fs.writeFile(at('dir', 'ä€😀'), 'text');
    await fs.link(at('dir', 'ä€😀'), at('dir', 'second'));
    await fs.symlink('dir/second', at('link'));
    expect(await fs.readFile(at('link'), 'utf8')).toBe('text');
    expect(await fs.readlink(at('link'))).toBe('dir/second');
    expect((await fs.stat(at('dir', 'second'))).nlink).toBe(2);
    await fs.rename(at('dir', 'second'), at('dir', 'third'));
    expect((await fs.readdir(at('dir'))).sort()).toEqual(['third', 'ä€😀'].sort());
    expect((await fs.stat(at('dir'))).mode & 0o7777).toBe(0o750 & ~process.umask());
    await expect(fs.rmdir(at('dir'))).rejects.toMatchObject({ code: 'ENOTEMPTY' });
    await fs.rm(at('dir'), { recursive: true });
    await fs.unlink(at('link'));
    await expect(fs.stat(at('dir'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('keeps times before 1970 and nanoseconds', async () => {
    await fs.writeFile(at('old'), '');
    await python('import os,sys; os.utime(sys.argv[1], ns=(-1500000001, 1234567890123456789))', at('old'));
    const found = await fs.stat(at('old'), { bigint: true });
    expect(found.atimeNs).toBe(-1500000001n);
    expect(found.mtimeNs).toBe(1234567890123456789n);
    await fs.unlink(at('old'));
  });

  test('moves 1 MiB in one request, and all bytes arrive', async () => {
    const data = randomBytes(5 * (1 << 20) + 12345);
    await fs.writeFile(at('large'), data);
    await python('import os,sys; fd=os.open(sys.argv[1], os.O_RDONLY); os.posix_fadvise(fd,0,0,4)', at('large'));
    const back = await run('dd', [`if=${at('large')}`, 'bs=1M', 'status=none'], {
      encoding: 'buffer',
      maxBuffer: 1 << 26,
    });
    expect(back.stdout.equals(data)).toBe(true);
    const { seen } = await toy.report();
    expect(seen.largestRead).toBe(1 << 20);
    // Buffered writes from several places may split them; no single one exceeds what was negotiated.
    expect(seen.largestWrite).toBeGreaterThan(256 * 1024);
    expect(seen.largestWrite).toBeLessThanOrEqual(1 << 20);
    await fs.unlink(at('large'));
  });

  test('many writers at once do not mix their buffers', async () => {
    const script =
      'import os,sys\nfd=os.open(sys.argv[1],os.O_CREAT|os.O_WRONLY)\nblock=bytes([int(sys.argv[2])])*(700*1024)\n' +
      'for i in range(8): os.pwrite(fd,block,i*len(block))';
    await Promise.all([1, 2, 3, 4, 5, 6].map((n) => python(script, at(`w${n}`), String(n))));
    for (const n of [1, 2, 3, 4, 5, 6]) {
      const data = await fs.readFile(at(`w${n}`));
      expect(data.length).toBe(8 * 700 * 1024);
      expect(data.every((byte) => byte === n)).toBe(true);
      await fs.unlink(at(`w${n}`));
    }
    expect((await toy.report()).stats.slabsLent).toBe(0);
  });

  test('mmap, shared and written', async () => {
    await fs.writeFile(at('mapped'), Buffer.alloc(10_000, 'a'));
    await python(
      'import mmap,os,sys\nfd=os.open(sys.argv[1],os.O_RDWR)\nm=mmap.mmap(fd,0)\nassert m[9999:10000]==b"a"\n' +
        'm[5000:5003]=b"xyz"\nm.flush()\nm.close()',
      at('mapped'),
    );
    const data = await fs.readFile(at('mapped'));
    expect(data.subarray(4999, 5004).toString()).toBe('axyza');
    await fs.unlink(at('mapped'));
  });

  test('extended attributes: probe of the length, too small a buffer, listing', async () => {
    await fs.writeFile(at('x'), '');
    await python(
      [
        'import os,sys,ctypes',
        'p=sys.argv[1]',
        'v=bytes(range(256))*200',
        'os.setxattr(p,"user.large",v)',
        'assert os.getxattr(p,"user.large")==v',
        'assert os.listxattr(p)==["user.large"]',
        'libc=ctypes.CDLL(None,use_errno=True)',
        'b=ctypes.create_string_buffer(10)',
        'assert libc.getxattr(p.encode(),b"user.large",None,0)==len(v)',
        'assert libc.getxattr(p.encode(),b"user.large",b,10)==-1 and ctypes.get_errno()==34',
        'os.removexattr(p,"user.large")',
        'assert os.listxattr(p)==[]',
      ].join('\n'),
      at('x'),
    );
    await fs.unlink(at('x'));
  });

  test('what no server can be asked for is refused, each with its own errno', async () => {
    await fs.writeFile(at('f'), 'x');
    await python(
      [
        'import os,sys,errno',
        'd=sys.argv[1].encode()',
        'def fails(e,f,*a):',
        '  try: f(*a)',
        '  except OSError as x: assert x.errno==e,(x,e)',
        '  else: raise AssertionError(a)',
        'fd=os.open(d+b"/f",os.O_RDWR)',
        'fails(errno.EFBIG,os.pwrite,fd,b"y",2**60)',
        'assert os.pread(fd,10,2**60)==b""',
        'fails(errno.EOPNOTSUPP,os.open,d,os.O_TMPFILE|os.O_RDWR)',
        'assert os.lseek(fd,0,os.SEEK_HOLE)==1',
        'import fcntl,array',
        'fails(errno.ENOTTY,fcntl.ioctl,fd,0x5401,array.array("B",[0]*64))',
      ].join('\n'),
      toy.mountpoint,
    );
    await fs.unlink(at('f'));
  });

  test('a directory of 3000 names is listed whole', async () => {
    await fs.mkdir(at('many'));
    const names = Array.from({ length: 3000 }, (_, i) => `name-${i}-${'x'.repeat(i % 200)}`);
    for (const name of names) await fs.writeFile(at('many', name), '');
    expect((await fs.readdir(at('many'))).sort()).toEqual(names.sort());
    const { stdout } = await run('ls', ['-l', at('many')], { maxBuffer: 1 << 24 });
    expect(stdout.trim().split('\n')).toHaveLength(3001);
    await fs.rm(at('many'), { recursive: true });
  });

  test('every lookup is forgotten, every file closed, nothing waits', async () => {
    const report = await until(
      async () => {
        await forgetNames(toy.mountpoint);
        return toy.report();
      },
      ({ owed, openFiles }) => owed === 0 && openFiles === 0,
    );
    expect(report.stats).toMatchObject({ inFlight: 0, lateReplies: 0, slabsLent: 0 });
    expect(report.stats.replies).toBe(report.stats.requests);
    expect(await connection(toy.ready.connection).waiting()).toBe(0);
  });

  test('names and pages are dropped on notice', async () => {
    await fs.stat(at('hang'));
    expect(await toy.ask('invalRoot')).toBe(true);
    if (toy.ready.minor >= 44) expect(await toy.ask('incEpoch')).toBe(true);
  });

  test('unmounts, and the file system is told once', async () => {
    expect(await toy.ask('unmount')).toMatchObject({ how: 'unmounted' });
    const end = await toy.done;
    expect(end.report.seen.destroyed).toBe(1);
    expect(end.report.stats.inFlight).toBe(0);
    expect(await findMount(toy.mountpoint)).toBeUndefined();
  });
});
