// The lives of fids as a server sees them: when they are clunked, when not, and when a number is used again.

import { describe, expect, test, vi } from 'vitest';
import type { Fid } from '../../src/client/fids.ts';
import { read } from '../../src/client/io.ts';
import { errno } from '../../src/common/errno.ts';
import { attachedForEach, calls, client, root, server } from '../support/attachedstage.ts';
import { expectCancelled, expectIdle } from '../support/leaks.ts';
import { getattr, qid } from '../support/scripted.ts';

attachedForEach();

describe('a fid', () => {
  test('of a walk that was cancelled is clunked, and the error of that is nobody’s', async () => {
    const abort = new AbortController();
    const call = calls.walk(root, ['a'], abort.signal);
    const { newfid } = await server.next('Twalk');
    abort.abort();
    server.reply((await server.next('Tflush')).tag, 'Rflush', {});
    await expectCancelled(call);
    const clunk = await server.next('Tclunk');
    expect(clunk.fid).toBe(newfid);
    server.reply(clunk.tag, 'Rlerror', { ecode: errno.EBADF });
    await expectIdle(client, 1);
  });

  test('of a walk whose reply came before Rflush is real', async () => {
    const abort = new AbortController();
    const call = calls.walk(root, ['a'], abort.signal);
    const { tag } = await server.next('Twalk');
    abort.abort();
    const flush = await server.next('Tflush');
    server.reply(tag, 'Rwalk', { qids: [qid] });
    server.reply(flush.tag, 'Rflush', {});
    expect((await call).fid?.state).toBe('live');
    await expectIdle(client, 2);
  });

  test('of a partial walk is clunked; that of a walk which found nothing is not', async () => {
    const partial = calls.walk(root, ['a', 'b']);
    server.reply((await server.next('Twalk')).tag, 'Rwalk', { qids: [qid] });
    expect(await partial).toEqual({ fid: undefined, qids: [qid] });
    server.reply((await server.next('Tclunk')).tag, 'Rclunk', {});
    const none = calls.walk(root, ['a']);
    server.reply((await server.next('Twalk')).tag, 'Rlerror', { ecode: errno.ENOENT });
    await expect(none).rejects.toMatchObject({ code: 'ENOENT' });
    await server.quiet();
    await expectIdle(client, 1);
  });

  describe('whose clunk was refused', () => {
    /** Walks and clunks; the number, after this answer to the clunk. */
    async function refused(ecode: number): Promise<number> {
      const walking = calls.walk(root, ['a']);
      const { newfid } = await server.serve('Twalk', 'Rwalk', { qids: [qid] });
      const { fid } = await walking;
      if (fid !== undefined) calls.clunk(fid);
      await server.serve('Tclunk', 'Rlerror', { ecode });
      await expectIdle(client, 1);
      return newfid;
    }

    test.each([errno.EBADF, errno.EEXIST, errno.EINVAL])(
      'and that the server has kept is not used again, and missed by nobody (errno %i)',
      async (ecode) => {
        const kept = await refused(errno.EIO);
        const walking = calls.walk(root, ['b']);
        expect((await server.serve('Twalk', 'Rlerror', { ecode })).newfid).toBe(kept);
        const again = await server.serve('Twalk', 'Rwalk', { qids: [qid] });
        expect(again).toMatchObject({ fid: root.number, names: ['b'] });
        expect(again.newfid).not.toBe(kept);
        const { fid } = await walking;
        expect(fid?.number).toBe(again.newfid);
        if (fid !== undefined) calls.clunk(fid);
        await server.serve('Tclunk', 'Rclunk', {});
        await expectIdle(client, 1);
        // nor later
        expect(await refused(errno.EBADF)).toBe(again.newfid);
        expect(await refused(errno.EBADF)).toBe(again.newfid);
      },
    );

    test('as one of no fid is free, and an error of its walk is one', async () => {
      const gone = await refused(errno.EBADF);
      const walking = calls.walk(root, ['b']);
      expect((await server.serve('Twalk', 'Rlerror', { ecode: errno.EBADF })).newfid).toBe(gone);
      await expect(walking).rejects.toMatchObject({ code: 'EBADF' });
      await expectIdle(client, 1);
    });

    test('and that is used again without trouble is like any other', async () => {
      const number = await refused(errno.EIO);
      expect(await refused(errno.EBADF)).toBe(number);
      const walking = calls.walk(root, ['b']);
      await server.serve('Twalk', 'Rlerror', { ecode: errno.EBADF });
      await expect(walking).rejects.toMatchObject({ code: 'EBADF' });
      await expectIdle(client, 1);
    });
  });

  test('is clunked when the last request that names it is over, and not before', async () => {
    const walking = calls.walk(root, []);
    server.reply((await server.next('Twalk')).tag, 'Rwalk', { qids: [] });
    const fid = (await walking).fid as Fid;
    const one = calls.getattr(fid, 1);
    const two = calls.getattr(fid, 2);
    const asked = [await server.next('Tgetattr'), await server.next('Tgetattr')];
    calls.clunk(fid);
    await server.quiet();
    for (const { tag } of asked) server.reply(tag, 'Rgetattr', getattr);
    await Promise.all([one, two]);
    server.reply((await server.next('Tclunk')).tag, 'Rclunk', {});
    await expectIdle(client, 1);
  });

  test('is one of a thousand that are clunked at once, sixty-four on the wire', async () => {
    const fids: Fid[] = [];
    for (let i = 0; i < 1000; i++) {
      const walking = calls.walk(root, []);
      server.reply((await server.next('Twalk')).tag, 'Rwalk', { qids: [] });
      fids.push((await walking).fid as Fid);
    }
    for (const fid of fids) calls.clunk(fid);
    const seen = new Set<number>();
    for (let i = 0; i < 1000; i++) {
      const { tag, fid } = await server.next('Tclunk');
      seen.add(fid);
      server.reply(tag, 'Rclunk', {});
    }
    expect(seen.size).toBe(1000);
    await expectIdle(client, 1);
  });
});

describe('a fid that may exist is clunked when its request is cancelled:', () => {
  test('Tattach', async () => {
    const abort = new AbortController();
    const call = calls.attach('me', 'x', 0, abort.signal);
    const { fid } = await server.next('Tattach');
    abort.abort();
    server.reply((await server.next('Tflush')).tag, 'Rflush', {});
    await expectCancelled(call);
    const clunk = await server.next('Tclunk');
    expect(clunk.fid).toBe(fid);
    server.reply(clunk.tag, 'Rlerror', { ecode: errno.EBADF });
    await expectIdle(client, 1);
  });

  test('Txattrwalk', async () => {
    const abort = new AbortController();
    const call = calls.xattrwalk(root, 'user.a', abort.signal);
    const { newfid } = await server.next('Txattrwalk');
    abort.abort();
    server.reply((await server.next('Tflush')).tag, 'Rflush', {});
    await expectCancelled(call);
    const clunk = await server.next('Tclunk');
    expect(clunk.fid).toBe(newfid);
    server.reply(clunk.tag, 'Rclunk', {});
    await expectIdle(client, 1);
  });
});

describe('a reply that comes before Rflush is real:', () => {
  test('Rattach makes a fid', async () => {
    const abort = new AbortController();
    const call = calls.attach('me', 'x', 0, abort.signal);
    const { tag } = await server.next('Tattach');
    abort.abort();
    const flush = await server.next('Tflush');
    server.reply(tag, 'Rattach', { qid });
    server.reply(flush.tag, 'Rflush', {});
    expect((await call).state).toBe('live');
    await expectIdle(client, 2);
  });

  test('Rlopen opens it', async () => {
    const abort = new AbortController();
    const call = calls.lopen(root, 0, abort.signal);
    const { tag } = await server.next('Tlopen');
    abort.abort();
    const flush = await server.next('Tflush');
    server.reply(tag, 'Rlopen', { qid: { ...qid, version: 9 }, iounit: 512 });
    server.reply(flush.tag, 'Rflush', {});
    await call;
    expect(root).toMatchObject({ iounit: 512, qid: { version: 9 } });
    await expectIdle(client, 1);
  });
});

describe('once its Tclunk is under way', () => {
  async function clunking(): Promise<{ fid: Fid; tag: number }> {
    const walking = calls.walk(root, []);
    server.reply((await server.next('Twalk')).tag, 'Rwalk', { qids: [] });
    const fid = (await walking).fid as Fid;
    calls.clunk(fid);
    return { fid, tag: (await server.next('Tclunk')).tag };
  }

  test('a fid can be named no more, and what else the call named is let go', async () => {
    const { fid, tag } = await clunking();
    await expect(calls.getattr(fid, 1)).rejects.toMatchObject({ code: 'EBADF' });
    await expect(calls.link(root, fid, 'a')).rejects.toMatchObject({ code: 'EBADF' });
    await expect(calls.walk(fid, [])).rejects.toMatchObject({ code: 'EBADF' });
    await expect(read(calls, fid, 0, 10, { whole: true })).rejects.toMatchObject({ code: 'EBADF' });
    await expect(calls.remove(fid)).rejects.toMatchObject({ code: 'EBADF' });
    await expect(calls.commitXattr(fid)).rejects.toMatchObject({ code: 'EBADF' });
    calls.clunk(fid);
    await server.quiet();
    server.reply(tag, 'Rclunk', {});
    await expectIdle(client, 1);
    expect(root.uses).toBe(0);
  });

  test('its number goes to another fid after Rclunk', async () => {
    const { fid, tag } = await clunking();
    server.reply(tag, 'Rclunk', {});
    await expectIdle(client, 1);
    const again = calls.walk(root, []);
    const walk = await server.next('Twalk');
    expect(walk.newfid).toBe(fid.number);
    server.reply(walk.tag, 'Rlerror', { ecode: errno.ENOENT });
    await expect(again).rejects.toMatchObject({ code: 'ENOENT' });
    await expectIdle(client, 1);
  });
});

describe('Tremove', () => {
  async function removing(): Promise<{ call: Promise<void>; fid: Fid; tag: number }> {
    const walking = calls.walk(root, []);
    server.reply((await server.next('Twalk')).tag, 'Rwalk', { qids: [] });
    const fid = (await walking).fid as Fid;
    const call = calls.remove(fid);
    return { call, fid, tag: (await server.next('Tremove')).tag };
  }

  test('ends the fid without a clunk', async () => {
    const { call, tag } = await removing();
    server.reply(tag, 'Rremove', {});
    await call;
    await server.quiet();
    await expectIdle(client, 1);
  });

  test('that fails is followed by a clunk, for servers that keep the fid', async () => {
    const { call, fid, tag } = await removing();
    server.reply(tag, 'Rlerror', { ecode: errno.EACCES });
    await expect(call).rejects.toMatchObject({ code: 'EACCES' });
    const clunk = await server.next('Tclunk');
    expect(clunk.fid).toBe(fid.number);
    server.reply(clunk.tag, 'Rlerror', { ecode: errno.EBADF });
    await expectIdle(client, 1);
  });

  test('lets requests end that name the fid, before the number is used again', async () => {
    const walking = calls.walk(root, []);
    server.reply((await server.next('Twalk')).tag, 'Rwalk', { qids: [] });
    const fid = (await walking).fid as Fid;
    const asking = calls.getattr(fid, 1);
    const asked = await server.next('Tgetattr');
    const call = calls.remove(fid);
    server.reply((await server.next('Tremove')).tag, 'Rremove', {});
    await call;
    expect(client.stats.fids).toEqual({ live: 1, quarantine: 1 });
    server.reply(asked.tag, 'Rgetattr', getattr);
    await asking;
    await server.quiet();
    await expectIdle(client, 1);
  });
});

test('the clunk after Txattrcreate is awaited, and its error is the result', async () => {
  const walking = calls.walk(root, []);
  server.reply((await server.next('Twalk')).tag, 'Rwalk', { qids: [] });
  const fid = (await walking).fid as Fid;
  const commit = calls.commitXattr(fid);
  server.reply((await server.next('Tclunk')).tag, 'Rlerror', { ecode: errno.ENOSPC });
  await expect(commit).rejects.toMatchObject({ code: 'ENOSPC' });
  await expectIdle(client, 1);
});

test('makeRoom waits for the clunks that are under way, not for later ones', async () => {
  const two: Fid[] = [];
  for (let i = 0; i < 2; i++) {
    const walking = calls.walk(root, []);
    server.reply((await server.next('Twalk')).tag, 'Rwalk', { qids: [] });
    two.push((await walking).fid as Fid);
  }
  expect(await client.fids.makeRoom()).toBe(false);
  client.fids.onShortage = () => {
    calls.clunk(two[0] as Fid);
    return true;
  };
  const room = client.fids.makeRoom();
  expect(client.fids.makeRoom()).toBe(room);
  const first = await server.next('Tclunk');
  calls.clunk(two[1] as Fid);
  const second = await server.next('Tclunk');
  server.reply(first.tag, 'Rclunk', {});
  expect(await room).toBe(true);
  server.reply(second.tag, 'Rclunk', {});
  await expectIdle(client, 1);
});

test('a server that answers no Tclunk has the client keep so many fids and no more, until it answers', async () => {
  const { fids } = client;
  let fid = fids.reserve();
  for (let made = 0; made < 100_000; made++) {
    fids.created(fid, qid);
    calls.clunk(fid);
    try {
      fid = fids.reserve();
    } catch (error) {
      expect(error).toMatchObject({ code: 'ENFILE' });
      break;
    }
  }
  expect(client.stats).toMatchObject({ fids: { live: 1, quarantine: 65_536 }, reserveTags: 64, queued: 65_472 });
  await expect(calls.walk(root, ['a'])).rejects.toMatchObject({ code: 'ENFILE' });
  server.answer = ({ type, tag }) => server.reply(tag, type === 'Tclunk' ? 'Rclunk' : 'Rwalk', { qids: [qid] });
  for (let i = 0; i < 64; i++) await server.serve('Tclunk', 'Rclunk', {});
  await vi.waitFor(() => expect(client.stats.fids.quarantine).toBe(0), { timeout: 20_000 });
  calls.clunk((await calls.walk(root, ['a'])).fid as Fid);
  await expectIdle(client, 1);
});
