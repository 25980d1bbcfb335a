// flock(2) with flock=remote: the server's clients exclude each other, and what one open file has, another of the same process
// does not. With flock=local it stays on its mount.

import { existsSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { type LockMounts, lockMounts } from '../support/lockmounts.ts';
import { output } from '../support/shell.ts';
import { until } from '../support/until.ts';

const able = existsSync('/dev/fuse') && process.getuid?.() === 0;
describe.skipIf(!able).each(['memory', 'host'] as const)('flock(2) on two mounts of the %s tree', (kind) => {
  let both: LockMounts | undefined;
  afterEach(async () => {
    await both?.end();
    both = undefined;
  });

  async function mountBoth(flock: 'local' | 'remote'): Promise<LockMounts> {
    both = await lockMounts(kind, { flock });
    return both;
  }

  it('remote: they exclude each other, and readers go together', async () => {
    const at = await mountBoth('remote');
    const [one, other] = [at.locker(0), at.locker(1)];
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
    const at = await mountBoth('remote');
    const [one, other] = [at.locker(0), at.locker(1)];
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
    const at = await mountBoth('remote');
    const [one, other] = [at.locker(0), at.locker(1)];
    await one.do('flock');
    await at.beginWaiting(other, 'flockwait 0 0', 1);
    expect(await one.do('flockoff')).toBe('ok');
    expect(await other.answer()).toBe('ok 0');
    expect(await one.do('flock')).toBe('EAGAIN');
  });

  it.each([0, 1] as const)('remote: a signal ends the waiting on mount %i', async (mount) => {
    const at = await mountBoth('remote');
    const [one, other] = [at.locker(0), at.locker(mount)];
    await one.do('flock');
    await at.interruptWaiting(other, 'flockwait 0 0', mount);
    expect(await other.answer()).toBe('EINTR 1');
    expect(await one.do('flockoff')).toBe('ok');
    expect(await other.do('flock')).toBe('ok');
  });

  it('remote: with SA_RESTART the waiting goes on after the handler', async () => {
    const at = await mountBoth('remote');
    const [one, other] = [at.locker(0), at.locker(1)];
    await one.do('flock');
    await at.interruptWaiting(other, 'flockwait 0 1', 1);
    await until('the handler to have run', () => at.mounts[1]?.mount.stats().fuse.interrupts !== 0);
    expect(await one.do('flockoff')).toBe('ok');
    expect(await other.answer()).toBe('ok 1');
  });

  it('remote: flock and record locks are one kind, as over NFS', async () => {
    const at = await mountBoth('remote');
    const [one, other] = [at.locker(0), at.locker(1)];
    expect(await one.do('flock')).toBe('ok');
    expect(await other.do('lock 0 1')).toBe('EAGAIN');
    expect(await one.do('flockoff')).toBe('ok');
    expect(await other.do('lock 0 1')).toBe('ok');
    expect(await one.do('flock')).toBe('EAGAIN');
  });

  it('remote: of flock(1) in two shells only one works at a time', async () => {
    const { mounts } = await mountBoth('remote');
    await output(`echo 0 > ${mounts[0]?.mountpoint}/count`);
    const script = (at: string) =>
      `cd ${at} && for i in 1 2 3 4 5 6 7 8 9 10; do flock file sh -c 'n=$(cat count); echo $((n + 1)) > count'; done`;
    await Promise.all(mounts.map(({ mountpoint }) => output(script(mountpoint))));
    expect(await output(`cat ${mounts[0]?.mountpoint}/count`)).toBe('20\n');
  });

  it('local: each mount has its own', async () => {
    const at = await mountBoth('local');
    const [one, two, other] = [at.locker(0), at.locker(0), at.locker(1)];
    expect(await one.do('flock')).toBe('ok');
    expect(await two.do('flock')).toBe('EAGAIN');
    expect(await other.do('flock')).toBe('ok');
    expect(await two.do('lock 0 0')).toBe('ok');
  });
});
