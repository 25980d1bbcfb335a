// flock(2) with flock=remote: the server's clients exclude each other, and what one open file has, another of the same process
// does not. With flock=local it stays on its mount.

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hostTree, memoryTree, type Serving, serve, type Tree } from '../../src/server/server.ts';
import { Locker } from '../support/locker.ts';
import { type Mounted, mounted } from '../support/mounted.ts';
import { output } from '../support/shell.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';
import { until } from '../support/until.ts';

const able = existsSync('/dev/fuse') && process.getuid?.() === 0;
describe.skipIf(!able).each(['memory', 'host'] as const)('flock(2) on two mounts of the %s tree', (kind) => {
  let dir: string;
  let serving: Serving;
  let mounts: Mounted[];
  let lockers: Locker[];

  beforeEach(async () => {
    dir = await makeTempDir('flock');
    await mkdir(join(dir, 'export'));
    const tree: Tree = kind === 'memory' ? memoryTree() : hostTree(join(dir, 'export'), {});
    serving = await serve({ address: { kind: 'tcp', host: '127.0.0.1', port: 0 }, tree });
    mounts = [];
    lockers = [];
  });
  afterEach(async () => {
    for (const locker of lockers) await locker.end('SIGKILL');
    for (const mount of mounts) await mount.end();
    await serving.close();
    await removeTempDir(dir);
  });

  async function mountBoth(flock: 'local' | 'remote'): Promise<void> {
    for (const name of ['a', 'b']) mounts.push(await mounted(join(dir, name), { address: serving.address, flock }));
  }

  function locker(mount: 0 | 1): Locker {
    const made = new Locker(join(mounts[mount]?.mountpoint ?? '', 'file'));
    lockers.push(made);
    return made;
  }

  /** Begins to wait for a lock, and does when this returns. */
  async function beginWaiting(other: Locker, line: string, mount: 0 | 1): Promise<void> {
    // its open of the file is over when it has answered something
    await other.do('get 0 0');
    other.begin(line);
    await until('the lock to be asked for', () => mounts[mount]?.mount.stats().fuse.inFlight === 1);
  }

  /** Begins to wait, and gets a signal when it does. */
  async function interruptWaiting(other: Locker, line: string, mount: 0 | 1): Promise<void> {
    await beginWaiting(other, line, mount);
    process.kill(other.pid, 'SIGALRM');
  }

  it('remote: they exclude each other, and readers go together', async () => {
    await mountBoth('remote');
    const [one, other] = [locker(0), locker(1)];
    expect(await one.do('flock')).toBe('ok');
    expect(await other.do('flock')).toBe('EAGAIN');
    expect(await other.do('flockread')).toBe('EAGAIN');
    expect(await one.do('flockread')).toBe('ok');
    expect(await other.do('flockread')).toBe('ok');
    expect(await one.do('flock')).toBe('EAGAIN');
    expect(await other.do('flockoff')).toBe('ok');
    expect(await one.do('flock')).toBe('ok');
    expect(await one.do('flockoff')).toBe('ok');
    expect(await other.do('flock')).toBe('ok');
  });

  it('remote: an open file has it, not a process, until its last close', async () => {
    await mountBoth('remote');
    const [one, other] = [locker(0), locker(1)];
    expect(await one.do('flock')).toBe('ok');
    expect(await one.do('other-flock')).toBe('EAGAIN');
    // closing another descriptor of the file frees record locks, and no flock
    expect(await one.do('close')).toBe('ok');
    expect(await one.do('closeother')).toBe('ok');
    expect(await other.do('flock')).toBe('EAGAIN');
    await one.end('SIGKILL');
    await until('the lock to have gone with the file', async () => (await other.do('flock')) === 'ok');
  });

  it('remote: a lock that is waited for comes when the other mount gives it up', async () => {
    await mountBoth('remote');
    const [one, other] = [locker(0), locker(1)];
    await one.do('flock');
    await beginWaiting(other, 'flockwait 0 0', 1);
    expect(await one.do('flockoff')).toBe('ok');
    expect(await other.answer()).toBe('ok 0');
    expect(await one.do('flock')).toBe('EAGAIN');
  });

  it.each([0, 1] as const)('remote: a signal ends the waiting on mount %i', async (mount) => {
    await mountBoth('remote');
    const [one, other] = [locker(0), locker(mount)];
    await one.do('flock');
    await interruptWaiting(other, 'flockwait 0 0', mount);
    expect(await other.answer()).toBe('EINTR 1');
    expect(await one.do('flockoff')).toBe('ok');
    expect(await other.do('flock')).toBe('ok');
  });

  it('remote: with SA_RESTART the waiting goes on after the handler', async () => {
    await mountBoth('remote');
    const [one, other] = [locker(0), locker(1)];
    await one.do('flock');
    await interruptWaiting(other, 'flockwait 0 1', 1);
    await until('the handler to have run', () => mounts[1]?.mount.stats().fuse.interrupts !== 0);
    expect(await one.do('flockoff')).toBe('ok');
    expect(await other.answer()).toBe('ok 1');
  });

  it('remote: flock and record locks are one kind, as over NFS', async () => {
    await mountBoth('remote');
    const [one, other] = [locker(0), locker(1)];
    expect(await one.do('flock')).toBe('ok');
    expect(await other.do('lock 0 1')).toBe('EAGAIN');
    expect(await one.do('flockoff')).toBe('ok');
    expect(await other.do('lock 0 1')).toBe('ok');
    expect(await one.do('flock')).toBe('EAGAIN');
  });

  it('remote: of flock(1) in two shells only one works at a time', async () => {
    await mountBoth('remote');
    await output(`echo 0 > ${mounts[0]?.mountpoint}/count`);
    const script = (at: string) =>
      `cd ${at} && for i in 1 2 3 4 5 6 7 8 9 10; do flock file sh -c 'n=$(cat count); echo $((n + 1)) > count'; done`;
    await Promise.all(mounts.map(({ mountpoint }) => output(script(mountpoint))));
    expect(await output(`cat ${mounts[0]?.mountpoint}/count`)).toBe('20\n');
  });

  it('local: each mount has its own', async () => {
    await mountBoth('local');
    const [one, two, other] = [locker(0), locker(0), locker(1)];
    expect(await one.do('flock')).toBe('ok');
    expect(await two.do('flock')).toBe('EAGAIN');
    expect(await other.do('flock')).toBe('ok');
    expect(await two.do('lock 0 0')).toBe('ok');
  });
});
