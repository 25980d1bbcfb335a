// Record locks over the protocol: two mounts of one server exclude each other, waiting can be interrupted, and what a
// process leaves behind is gone. What one mount has to do is in the POSIX checks.

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hostTree, memoryTree, type Serving, serve, type Tree } from '../../src/server/server.ts';
import { Locker } from '../support/locker.ts';
import { type Mounted, mounted } from '../support/mounted.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';
import { until } from '../support/until.ts';

const able = existsSync('/dev/fuse') && process.getuid?.() === 0;
describe.skipIf(!able).each(['memory', 'host'] as const)('two mounts of the %s tree', (kind) => {
  let dir: string;
  let serving: Serving;
  let mounts: Mounted[];
  let lockers: Locker[];

  beforeEach(async () => {
    dir = await makeTempDir('locks');
    await mkdir(join(dir, 'export'));
    const tree: Tree = kind === 'memory' ? memoryTree() : hostTree(join(dir, 'export'), {});
    serving = await serve({ address: { kind: 'tcp', host: '127.0.0.1', port: 0 }, tree });
    mounts = [];
    for (const name of ['a', 'b']) mounts.push(await mounted(join(dir, name), { address: serving.address }));
    lockers = [];
  });
  afterEach(async () => {
    for (const locker of lockers) await locker.end('SIGKILL');
    for (const mount of mounts) await mount.end();
    await serving.close();
    await removeTempDir(dir);
  });

  /** A process on the first mount or on the second. */
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

  it('exclude each other, range by range', async () => {
    const [one, other] = [locker(0), locker(1)];
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
    const [one, two, other] = [locker(0), locker(0), locker(1)];
    expect([await one.do('read 0 100'), await two.do('read 50 100')]).toEqual(['ok', 'ok']);
    expect(await one.do('unlock 0 0')).toBe('ok');
    expect(await other.do('lock 0 50')).toBe('ok');
    expect(await other.do('lock 60 10')).toBe('EAGAIN');
    expect(await two.do('get 0 10')).toMatch(/^1 0 0 50 0$/);
    expect(await two.do('unlock 0 0')).toBe('ok');
    expect(await other.do('lock 60 10')).toBe('ok');
  });

  it('a lock that is waited for comes when the other mount gives it up', async () => {
    const [one, other] = [locker(0), locker(1)];
    await one.do('lock 0 0');
    await beginWaiting(other, 'wait 0 0', 1);
    expect(await one.do('unlock 0 0')).toBe('ok');
    expect(await other.answer()).toBe('ok 0');
    expect(await one.do('lock 0 0')).toBe('EAGAIN');
  });

  it.each([0, 1] as const)('a signal ends the waiting on mount %i', async (mount) => {
    const [one, other] = [locker(0), locker(mount)];
    await one.do('lock 0 0');
    await interruptWaiting(other, 'wait 0 0', mount);
    expect(await other.answer()).toBe('EINTR 1');
    expect(await one.do('unlock 0 0')).toBe('ok');
    expect(await other.do('lock 0 0')).toBe('ok');
  });

  it.each([0, 1] as const)('with SA_RESTART the waiting on mount %i goes on after the handler', async (mount) => {
    const [one, other] = [locker(0), locker(mount)];
    await one.do('lock 0 0');
    await interruptWaiting(other, 'wait 0 1', mount);
    await until('the handler to have run', () => mounts[mount]?.mount.stats().fuse.interrupts !== 0);
    expect(await one.do('unlock 0 0')).toBe('ok');
    expect(await other.answer()).toBe('ok 1');
    expect(await one.do('lock 0 0')).toBe('EAGAIN');
  });

  it.each(['SIGKILL', 'SIGTERM'] as const)('what a process held is free when %s has ended it', async (signal) => {
    const [one, other] = [locker(0), locker(1)];
    await one.do('lock 0 0');
    await beginWaiting(other, 'wait 0 0', 1);
    await one.end(signal);
    expect(await other.answer()).toBe('ok 0');
  });

  it('a killed process that waits leaves nothing behind', async () => {
    const [one, other, third] = [locker(0), locker(1), locker(1)];
    await one.do('lock 0 0');
    await beginWaiting(other, 'wait 0 0', 1);
    await other.end('SIGKILL');
    await one.do('unlock 0 0');
    expect(await third.do('lock 0 0')).toBe('ok');
  });

  it('the close of any descriptor frees what the process holds', async () => {
    const [one, other] = [locker(0), locker(1)];
    await one.do('lock 0 0');
    expect(await one.do('close')).toBe('ok');
    expect(await other.do('lock 0 0')).toBe('ok');
  });

  it('the end of a mount frees what its processes held', async () => {
    const [one, other] = [locker(0), locker(1)];
    await one.do('lock 0 0');
    await beginWaiting(other, 'wait 0 0', 1);
    await mounts[0]?.mount.unmount({ lazy: true });
    await one.end('SIGKILL');
    expect(await other.answer()).toBe('ok 0');
    mounts.shift();
  });
});
