// Requests that nobody interrupts and no server answers: timeout= gives them up by way of a Tflush, with what became of them as
// the answer; and how many that no server ever answers a connection bears before it is given up itself.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { faultsTree, type Serving, serve } from '../../src/server/server.ts';
import { formatAddress, parseAddress } from '../../src/transport/address.ts';
import { connectSocket } from '../../src/transport/socket.ts';
import { Locker } from '../support/locker.ts';
import { type Mounted, mounted } from '../support/mounted.ts';
import { Raw9p } from '../support/raw9p.ts';
import { output, shell } from '../support/shell.ts';
import { tamperProxy } from '../support/tamper.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';
import { whyNoMounts } from '../support/toymount.ts';
import { until } from '../support/until.ts';
import { type Counts, countsOf, type Outcome, Victims } from '../support/victims.ts';

const RLOCK = 53;
const TIMEOUT = 400;
const FLUSH_TIMEOUT = 300;

describe.skipIf(whyNoMounts() !== undefined)('on a mount', () => {
  let dir: string;
  let serving: Serving;
  let raw: Raw9p;
  let victims: Victims;
  const mounts: Mounted[] = [];

  beforeEach(async () => {
    dir = await makeTempDir('deadlines');
    serving = await serve({ address: { kind: 'tcp', host: '127.0.0.1', port: 0 }, tree: faultsTree() });
    raw = new Raw9p(await connectSocket(serving.address));
    await raw.version();
    await raw.attach(0, 0);
    victims = new Victims();
  });
  afterEach(async () => {
    await victims.end();
    for (const live of mounts.splice(0)) await live.mount.unmount({ lazy: true });
    raw.transport.close();
    await serving.close();
    await removeTempDir(dir);
  });

  async function begin(settings: Partial<Parameters<typeof mounted>[1]>): Promise<Mounted> {
    const live = await mounted(dir, { address: serving.address, cache: 'none', ...settings });
    mounts.push(live);
    return live;
  }

  async function call(live: Mounted, op: string, file: string): Promise<Outcome> {
    const outcome = victims.make(victims.outcomes.length, op, `${live.mountpoint}/${file}`);
    await until(`${op} of ${file} to end`, () => outcome.ended !== undefined);
    return outcome;
  }

  const counted = async (name: string): Promise<Counts | undefined> => (await countsOf(raw)).get(name);

  describe('with timeout=', () => {
    const settings = { timeout: TIMEOUT, flushTimeout: FLUSH_TIMEOUT };

    test.each([
      ['read', 'hang'],
      ['write', 'hang'],
      ['stat', 'ops/hang/Tgetattr/file'],
      ['open', 'ops/hang/Tlopen/file'],
      ['create', 'ops/hang/Tlcreate/file'],
      ['rename', 'ops/hang/Trenameat/file'],
    ])('%s of %s is ETIMEDOUT, had no effect, and is over at both ends', async (op, file) => {
      const live = await begin(settings);
      expect((await call(live, op, file)).errno).toBe('ETIMEDOUT');
      const name = file.replace(/\/file$/, '');
      expect(await counted(name)).toEqual({ requests: 1, flushed: 1, performed: 0 });
      await live.end();
      mounts.pop();
    });

    test('the reply that comes before the Rflush is the answer all the same, unless it only says EINTR', async () => {
      const live = await begin(settings);
      // nobody has interrupted it
      expect((await call(live, 'read', 'eintr')).errno).toBe('ETIMEDOUT');
      expect(await call(live, 'read', 'late')).toMatchObject({ ret: 100 });
      expect(await call(live, 'write', 'late')).toMatchObject({ ret: 100 });
      const made = await call(live, 'create', 'ops/late/Tlcreate/file');
      expect(made.ret).toBeGreaterThanOrEqual(0);
      expect(await output(`stat -c %F ${live.mountpoint}/ops/late/Tlcreate/file.new`)).toBe('regular empty file\n');
      await live.end();
      mounts.pop();
    });

    test('an answer that is slow, but not as slow, is waited for', async () => {
      const live = await begin(settings);
      expect(await call(live, 'read', 'slow/100')).toMatchObject({ ret: 100 });
      expect((await counted('slow/100'))?.flushed).toBe(0);
      await live.end();
      mounts.pop();
    });

    test('pages that are read in the background are given up as well', async () => {
      const live = await begin({ ...settings, cache: 'auto' });
      const { errno } = await call(live, 'read', 'hang');
      expect(errno).toMatch(/^(ETIMEDOUT|EIO)$/);
      const { requests, flushed } = (await counted('hang')) ?? {};
      expect(flushed).toBe(requests);
      await live.end();
      mounts.pop();
    });

    test('a read that is not even flushed is ETIMEDOUT at the deadline, and the mount lives', async () => {
      const live = await begin(settings);
      expect((await call(live, 'read', 'mute')).errno).toBe('ETIMEDOUT');
      expect(live.mount.stats().client).toMatchObject({ quarantine: 1, pool: { waiting: 0 } });
      expect((await shell(`cat ${live.mountpoint}/mute.txt`)).code).toBe(0);
    });

    test('a write that is not even flushed costs the connection', async () => {
      const live = await begin(settings);
      expect((await call(live, 'write', 'mute')).errno).toBe('EIO');
      expect((await shell(`cat ${live.mountpoint}/mute.txt`)).stderr).toContain('Input/output error');
    });
  });

  test('who is killed while he gives up a lock does not wait for the server', async () => {
    const proxy = await tamperProxy(formatAddress(serving.address));
    try {
      const live = await begin({ address: parseAddress(proxy.address), flushTimeout: FLUSH_TIMEOUT });
      const locker = new Locker(`${live.mountpoint}/ops/slow,10/Tread/file`);
      expect(await locker.do('lock 0 0')).toBe('ok');
      proxy.tamper = (frame) => (frame[4] === RLOCK ? [] : frame);
      locker.begin('unlock 0 0');
      await until('the server to be asked', () => live.mount.stats().fuse.inFlight === 1);
      await locker.end('SIGKILL');
      expect((await shell(`cat ${live.mountpoint}/mute.txt`)).code).toBe(0);
      await live.mount.unmount({ lazy: true });
    } finally {
      await proxy.close();
    }
  });

  test('sixty-four requests that no server answers are borne, the next ends the connection', async () => {
    const live = await begin({});
    const reader = (file: string) => victims.make(victims.outcomes.length, 'read', `${live.mountpoint}/${file}`);
    const kill = async (count: number) => {
      const before = (await counted('mute'))?.requests ?? 0;
      const killed = Array.from({ length: count }, () => reader('mute'));
      await until('all of them to wait', async () => (await counted('mute'))?.requests === before + count);
      for (const { pid } of killed) if (pid !== undefined) process.kill(pid, 'SIGKILL');
      await until('all of them to be gone', () => killed.every(({ signal }) => signal === 'SIGKILL'));
    };
    const waiting = reader('hang');
    await until('one to wait', async () => (await counted('hang'))?.requests === 1);
    await kill(60);
    expect(live.mount.stats().client).toMatchObject({ quarantine: 60 });
    await kill(4);
    expect(live.mount.stats().client).toMatchObject({ quarantine: 64, tags: 65 });
    expect((await shell(`cat ${live.mountpoint}/mute.txt`)).code).toBe(0);
    expect(waiting.ended).toBeUndefined();
    await kill(1);
    await until('the one who waits to be told', () => waiting.ended !== undefined);
    expect(waiting.errno).toBe('EIO');
    expect((await shell(`cat ${live.mountpoint}/mute.txt`)).stderr).toContain('Input/output error');
    expect(live.mount.stats().client).toMatchObject({ quarantine: 0, tags: 0, pool: { inUse: 0 } });
  });
});
