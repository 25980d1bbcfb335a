// Real mounts of a real server through `ninefs trace`, with each of its troubles: what a program on the mount sees of it, and
// that the mount can be unmounted afterwards.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findMount } from '../../src/fuse/mountinfo.ts';
import { type Cli, ninefs, start, startServer } from '../support/cli.ts';
import { shell } from '../support/shell.ts';
import { withTempDir } from '../support/tempdir.ts';

interface Place {
  mountpoint: string;
  trace: Cli;
}

/** Serves `tree`, mounts it through a trace, and ends all three. */
function traced(tree: string, flags: readonly string[], options: string, body: (place: Place) => Promise<void>) {
  return withTempDir(async (dir) => {
    const mountpoint = join(dir, 'mnt');
    await mkdir(mountpoint);
    const server = await startServer(tree);
    const trace = start(['trace', server.address, '--listen', 'tcp!127.0.0.1!0', ...flags]);
    try {
      const [, address = ''] = await trace.output(/^listening on (.*)\n/m);
      const mounted = await ninefs(['mount', address, mountpoint, '-o', options]);
      expect(mounted).toMatchObject({ code: 0, stderr: '' });
      await body({ mountpoint, trace });
      expect(await ninefs(['umount', mountpoint])).toMatchObject({ code: 0, stderr: '' });
      await trace.output(/ 1 -- (ended by|cut after)/);
      const ended = await trace.stop('SIGINT');
      expect(ended).toMatchObject({ code: 0, stderr: '' });
      // only now has it said all
      expect(ended.stdout.split('\n').filter((line) => line.includes('WRONG'))).toEqual([]);
    } finally {
      if ((await findMount(mountpoint)) !== undefined) await ninefs(['umount', '-l', mountpoint]);
      await trace.kill();
      await server.kill();
    }
  });
}

describe.skipIf(!existsSync('/dev/fuse'))('a mount through a trace', () => {
  test('carries what it is given, and every message of it is told', () =>
    traced('memory:', [], 'cache=none', async ({ mountpoint, trace }) => {
      const script = `cd ${mountpoint} && head -c 5000000 /dev/urandom > /tmp/$$.a && cp /tmp/$$.a a && cmp /tmp/$$.a a; rm /tmp/$$.a a`;
      expect(await shell(script)).toMatchObject({ code: 0, stderr: '' });
      // the last lines may still be on their way through the pipe
      for (const name of ['Twrite', 'Rwrite', 'Tread', 'Rread', 'Tunlinkat']) {
        await trace.output(new RegExp(` ${name} `));
      }
    }));

  test('--delay: everything works, later', () =>
    traced('memory:', ['--delay', '5'], 'cache=none', async ({ mountpoint }) => {
      const { code, stdout } = await shell(`cd ${mountpoint} && mkdir d && echo text > d/f && cat d/f && ls d`);
      expect({ code, stdout }).toEqual({ code: 0, stdout: 'text\nf\n' });
    }));

  test('--hold of Rflush: a reader that is killed is gone all the same, and SIGUSR1 sets the rest right', () =>
    traced('faults:', ['--hold', 'Rflush'], 'cache=none,flushtimeout=30', async ({ mountpoint, trace }) => {
      // released at the end of the shortened deadline of a caller who is dying, its tag in quarantine until the Rflush comes
      const reader = spawn('cat', [`${mountpoint}/hang`], { stdio: 'ignore', cwd: '/' });
      const ended = once(reader, 'exit');
      await trace.output(/ Tread /);
      reader.kill('SIGKILL');
      expect(await ended).toEqual([null, 'SIGKILL']);
      await trace.output(/Tflush .* \| flushes Tread/);
      await trace.output(/Rflush .* \| cancelled: Tread .* \| HELD/);
      trace.process.kill('SIGUSR1');
      await trace.output(/0 -- released 7 bytes/);
      expect((await shell(`cat ${mountpoint}/counters/all`)).code).toBeLessThan(2);
    }));

  test('--drop of a reply: the call is given up at its deadline, and flushed', () =>
    traced('memory:', ['--drop', 'Rstatfs'], 'timeout=3', async ({ mountpoint, trace }) => {
      const { code, stderr } = await shell(`stat -f ${mountpoint}`);
      expect(stderr).toMatch(/timed out/);
      expect(code).not.toBe(0);
      await trace.output(/Rstatfs .*\| DROPPED/);
      await trace.output(/Tflush .* \| had been answered: Tstatfs/);
      expect((await shell(`ls ${mountpoint}`)).code).toBe(0);
    }));

  test('--cut-after: in the middle of a reply, every call fails from then on, and nothing hangs', () =>
    traced('memory:', ['--cut-after', '100000'], 'cache=none', async ({ mountpoint, trace }) => {
      const { code, stderr } = await shell(`cd ${mountpoint} && head -c 300000 /dev/zero > f && cat f > /dev/null`);
      expect(code).not.toBe(0);
      expect(stderr).toMatch(/Input\/output error/);
      await trace.output(/cut after 100000 bytes from the server/);
    }));
});
