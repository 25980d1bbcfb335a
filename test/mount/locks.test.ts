// Record locks over the protocol: two mounts of one server exclude each other, waiting can be interrupted, and what a
// process leaves behind is gone. What one mount has to do is in the POSIX checks.

import { existsSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LockMounts, lockMounts } from '../support/lockmounts.ts';
import { until } from '../support/until.ts';

const able = existsSync('/dev/fuse') && process.getuid?.() === 0;
describe.skipIf(!able).each(['memory', 'host'] as const)('two mounts of the %s tree', (kind) => {
  let at: LockMounts;
  beforeEach(async () => {
    at = await lockMounts(kind);
  });
  afterEach(() => at.end());

  it('exclude each other, range by range', async () => {
    const [one, other] = [at.locker(0), at.locker(1)];
    expect(await one.do('lock 0 10')).toBe('ok');
    expect(await other.do('lock 5 10')).toBe('EAGAIN');
    expect(await other.do('read 0 1')).toBe('EAGAIN');
    expect(await other.do('lock 10 10')).toBe('ok');
    expect(await one.do('lock 0 0')).toBe('EAGAIN');
    expect(await other.do('get 0 0')).toMatch(/^1 0 0 10 /);
    expect(await one.do('unlock 3 1')).toBe('ok');
    expect(await other.do('lock 3 1')).toBe('ok');
    expect(await other.do('lock 4 1')).toBe('EAGAIN');
  });

  it('a reader of one mount keeps the lock that another reader there gives up', async () => {
    const [one, two, other] = [at.locker(0), at.locker(0), at.locker(1)];
    expect([await one.do('read 0 100'), await two.do('read 50 100')]).toEqual(['ok', 'ok']);
    expect(await one.do('unlock 0 0')).toBe('ok');
    expect(await other.do('lock 0 50')).toBe('ok');
    expect(await other.do('lock 60 10')).toBe('EAGAIN');
    expect(await two.do('get 0 10')).toMatch(/^1 0 0 50 0$/);
    expect(await two.do('unlock 0 0')).toBe('ok');
    expect(await other.do('lock 60 10')).toBe('ok');
  });

  it('a lock that is waited for comes when the other mount gives it up', async () => {
    const [one, other] = [at.locker(0), at.locker(1)];
    await one.do('lock 0 0');
    await at.beginWaiting(other, 'wait 0 0', 1);
    expect(await one.do('unlock 0 0')).toBe('ok');
    expect(await other.answer()).toBe('ok 0');
    expect(await one.do('lock 0 0')).toBe('EAGAIN');
  });

  it.each([0, 1] as const)('a signal ends the waiting on mount %i', async (mount) => {
    const [one, other] = [at.locker(0), at.locker(mount)];
    await one.do('lock 0 0');
    await at.interruptWaiting(other, 'wait 0 0', mount);
    expect(await other.answer()).toBe('EINTR 1');
    expect(await one.do('unlock 0 0')).toBe('ok');
    expect(await other.do('lock 0 0')).toBe('ok');
  });

  it.each([0, 1] as const)('with SA_RESTART the waiting on mount %i goes on after the handler', async (mount) => {
    const [one, other] = [at.locker(0), at.locker(mount)];
    await one.do('lock 0 0');
    await at.interruptWaiting(other, 'wait 0 1', mount);
    await until('the handler to have run', () => at.mounts[mount]?.mount.stats().fuse.interrupts !== 0);
    expect(await one.do('unlock 0 0')).toBe('ok');
    expect(await other.answer()).toBe('ok 1');
    expect(await one.do('lock 0 0')).toBe('EAGAIN');
  });

  it.each(['SIGKILL', 'SIGTERM'] as const)('what a process held is free when %s has ended it', async (signal) => {
    const [one, other] = [at.locker(0), at.locker(1)];
    await one.do('lock 0 0');
    await at.beginWaiting(other, 'wait 0 0', 1);
    await one.end(signal);
    expect(await other.answer()).toBe('ok 0');
  });

  it('a killed process that waits leaves nothing behind', async () => {
    const [one, other, third] = [at.locker(0), at.locker(1), at.locker(1)];
    await one.do('lock 0 0');
    await at.beginWaiting(other, 'wait 0 0', 1);
    await other.end('SIGKILL');
    await one.do('unlock 0 0');
    expect(await third.do('lock 0 0')).toBe('ok');
  });

  it('the close of any descriptor frees what the process holds', async () => {
    const [one, other] = [at.locker(0), at.locker(1)];
    await one.do('lock 0 0');
    expect(await one.do('close')).toBe('ok');
    expect(await other.do('lock 0 0')).toBe('ok');
  });

  it('the end of a mount frees what its processes held', async () => {
    const [one, other] = [at.locker(0), at.locker(1)];
    await one.do('lock 0 0');
    await at.beginWaiting(other, 'wait 0 0', 1);
    await at.mounts[0]?.mount.unmount({ lazy: true });
    await one.end('SIGKILL');
    expect(await other.answer()).toBe('ok 0');
    at.mounts.shift();
  });
});
