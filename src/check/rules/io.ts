// Tread, Twrite and Tfsync: the end of the file, counts, and limits that neither side may exceed.

import { OPEN } from '../../wire/p9/constants.ts';
import { isError, isRefusal, show } from '../answers.ts';
import { Probe } from '../probe.ts';
import { cutOrRefused, fail, must, notApplicable, pass, type Rule, rulesOf } from '../rule.ts';
import { contents, create, getattr, open, put, readAll, walk, writeAll } from '../steps.ts';

const rule = rulesOf('read(9P)');
const { HOME } = Probe;
const IOHDR = 24;
const TERABYTE = 2 ** 40;
/** Pipelined reads, each of its own piece. */
const PIECES = 64;
const PIECE = 16;

const text = (data: Uint8Array) => Buffer.from(data).toString('latin1');

export const ioRules: readonly Rule[] = [
  rule('read-end', 'home', 'Tread at or beyond the end of the file is answered with no bytes', async (probe, place) => {
    const name = place.name();
    await put(probe, name, 'text');
    const fid = await open(probe, HOME, name);
    for (const offset of [4, 5, TERABYTE]) {
      const answer = await probe.ask('Tread', { fid, offset, count: 10 });
      if (answer.type !== 'Rread' || answer.data.length !== 0) return fail(`offset ${offset} of 4:`, answer);
    }
    return pass('Rread of 0 bytes');
  }),

  rule(
    'read-across-end',
    'home',
    'Tread across the end is answered with the bytes that are there',
    async (probe, place) => {
      const name = place.name();
      await put(probe, name, 'text');
      const answer = await probe.ask('Tread', { fid: await open(probe, HOME, name), offset: 2, count: 100 });
      return must(answer.type === 'Rread' && text(answer.data) === 'xt', answer);
    },
  ),

  rule('read-nothing', 'home', 'Tread of no bytes is answered with no bytes', async (probe, place) => {
    const name = place.name();
    await put(probe, name, 'text');
    const answer = await probe.ask('Tread', { fid: await open(probe, HOME, name), offset: 0, count: 0 });
    return must(answer.type === 'Rread' && answer.data.length === 0, answer);
  }),

  rule('read-count', 'home', 'Rread has never more bytes than were asked for', async (probe, place) => {
    const name = place.name();
    await put(probe, name, 'a longer text');
    const fid = await open(probe, HOME, name);
    for (const count of [1, 2, 5]) {
      const answer = await probe.ask('Tread', { fid, offset: 0, count });
      if (answer.type !== 'Rread') return fail(answer);
      if (answer.data.length === 0 || answer.data.length > count) return fail(`${count} asked for:`, answer);
    }
    return pass('Rread of what was asked for');
  }),

  ...[1, 0x7fffffff, 0xffffffff].map((over, i) =>
    rule(
      ['read-over-msize', 'read-over-2g', 'read-over-4g'][i] ?? '',
      'home',
      `Tread of ${i === 0 ? 'more than msize' : over} bytes is cut to msize, or refused`,
      async (probe, place) => {
        const fid = await create(probe, place.name());
        await writeAll(probe, fid, Buffer.alloc(2 * probe.msize));
        const answer = await probe.ask('Tread', { fid, offset: 0, count: i === 0 ? probe.msize + over : over });
        return cutOrRefused(answer, 'Rread', probe.msize);
      },
    ),
  ),

  rule(
    'read-pipelined',
    'home',
    'reads in flight together are answered each with its own tag and bytes',
    async (probe, place) => {
      const name = place.name();
      const whole = Array.from({ length: PIECES }, (_, i) => `${i}`.padEnd(PIECE, '.')).join('');
      await put(probe, name, whole);
      const fid = await open(probe, HOME, name);
      const tags = Array.from({ length: PIECES }, (_, i) =>
        probe.send('Tread', { fid, offset: i * PIECE, count: PIECE }),
      );
      for (const [i, tag] of tags.entries()) {
        const answer = await probe.answer(tag);
        if (answer.type !== 'Rread') return fail(answer);
        if (text(answer.data) !== whole.slice(i * PIECE, (i + 1) * PIECE)) return fail(answer, 'of another place');
      }
      return pass(`${PIECES} Rread, each of its own place`);
    },
  ),

  rule(
    'write-count',
    'home',
    'Rwrite has the count that was written, never more than was sent',
    async (probe, place) => {
      const fid = await create(probe, place.name());
      const answer = await probe.ask('Twrite', { fid, offset: 0, data: Buffer.from('text') });
      if (answer.type !== 'Rwrite') return fail(answer);
      if (answer.count < 1 || answer.count > 4) return fail('4 sent:', answer);
      return must(
        text(await readAll(probe, fid)) === 'text'.slice(0, answer.count),
        answer,
        'and those are in the file',
      );
    },
  ),

  rule('write-nothing', 'home', 'Twrite of no bytes writes none', async (probe, place) => {
    const fid = await create(probe, place.name());
    await writeAll(probe, fid, Buffer.from('text'));
    const answer = await probe.ask('Twrite', { fid, offset: 2, data: Buffer.alloc(0) });
    if (answer.type !== 'Rwrite' || answer.count !== 0) return fail(answer);
    return must((await getattr(probe, fid)).size === 4, answer);
  }),

  rule('write-largest', 'home', 'a Twrite that fills msize but for its head is taken', async (probe, place) => {
    const fid = await create(probe, place.name());
    const data = Buffer.alloc(probe.msize - IOHDR, 'x');
    const answer = await probe.ask('Twrite', { fid, offset: 0, data });
    if (answer.type !== 'Rwrite') return fail(answer);
    const right = answer.count >= 1 && answer.count <= data.length;
    return must(right, answer.count === data.length ? 'Rwrite of all of it' : show(answer));
  }),

  rule('write-hole', 'home', 'what is skipped by a write beyond the end reads as zeros', async (probe, place) => {
    const fid = await create(probe, place.name());
    await writeAll(probe, fid, Buffer.from('a'));
    const answer = await probe.ask('Twrite', { fid, offset: 5, data: Buffer.from('b') });
    if (answer.type !== 'Rwrite') return fail(answer);
    const right = text(await readAll(probe, fid)) === 'a\0\0\0\0b';
    return must(right, answer, right ? 'and zeros between' : 'and something else between');
  }),

  rule('write-seen', 'home', 'what was written is read by another connection', async (probe, place) => {
    const name = place.name();
    const fid = await create(probe, name);
    await writeAll(probe, fid, Buffer.from('text'));
    const other = await place.open('home');
    const seen = await contents(other, name);
    return must(seen === 'text', seen === 'text' ? 'it reads the same' : `it reads ${seen.length} bytes, not those`);
  }),

  rule(
    'write-append',
    'home',
    'a file that was opened to append is written at its end, whatever the offset',
    async (probe, place) => {
      const name = place.name();
      await put(probe, name, 'text');
      const fid = await walk(probe, HOME, name);
      const opened = await probe.ask('Tlopen', { fid, flags: OPEN.WRONLY | OPEN.APPEND });
      if (isError(opened)) return notApplicable('Tlopen with O_APPEND:', opened);
      const answer = await probe.ask('Twrite', { fid, offset: 0, data: Buffer.from('end') });
      if (answer.type !== 'Rwrite') return fail(answer);
      const right = (await contents(probe, name)) === 'textend';
      return must(right, answer, right ? 'at the end' : 'at the offset');
    },
  ),

  rule(
    'write-append-turns',
    'home',
    'two fids that were opened to append, in turn: each write is put at the end that the file has then',
    async (probe, place) => {
      const name = place.name();
      await put(probe, name, 'text');
      const fids = [await walk(probe, HOME, name), await walk(probe, HOME, name)];
      for (const fid of fids) {
        const opened = await probe.ask('Tlopen', { fid, flags: OPEN.WRONLY | OPEN.APPEND });
        if (isError(opened)) return notApplicable('Tlopen with O_APPEND:', opened);
      }
      // each fid's offset is where the file ends as far as its own writes go
      for (const [turn, offset] of [4, 4, 6, 6].entries()) {
        const data = Buffer.from(`+${turn}`);
        const answer = await probe.ask('Twrite', { fid: fids[turn % 2] ?? 0, offset, data });
        if (answer.type !== 'Rwrite') return fail(answer);
      }
      const found = await contents(probe, name);
      const right = found === 'text+0+1+2+3';
      return must(
        right,
        right ? 'every write is in the file' : `of 4 writes ${(found.length - 4) / 2} are in the file`,
      );
    },
  ),

  rule('write-far', 'home', 'an offset above 2^63 is refused', async (probe, place) => {
    const fid = await create(probe, place.name());
    const tag = probe.tag();
    const frame = Buffer.alloc(IOHDR);
    frame.writeUInt32LE(IOHDR, 0);
    frame.writeUInt8(118, 4);
    frame.writeUInt16LE(tag, 5);
    frame.writeUInt32LE(fid, 7);
    frame.writeBigUInt64LE(2n ** 64n - 1n, 11);
    frame.writeUInt32LE(1, 19);
    const answer = await probe.answer(probe.raw(frame, 'Twrite at offset 2^64-1', tag));
    return must(isRefusal(answer), answer);
  }),

  rule(
    'write-over-msize',
    'home',
    'a Twrite larger than msize is refused, and not carried out',
    async (probe, place) => {
      const name = place.name();
      await put(probe, name, 'text');
      const fid = await open(probe, HOME, name, OPEN.RDWR);
      const answer = await probe.ask('Twrite', { fid, offset: 0, data: Buffer.alloc(probe.msize, 'x') });
      if (!isRefusal(answer)) return fail(answer);
      const there = await contents(await place.open('home'), name);
      return must(there === 'text', answer, there === 'text' ? 'and the file as it was' : 'and the file changed');
    },
  ),

  rule('fsync', 'home', 'Tfsync of an open file is answered', async (probe, place) => {
    const fid = await create(probe, place.name());
    await writeAll(probe, fid, Buffer.from('text'));
    const answer = await probe.ask('Tfsync', { fid, datasync: 0 });
    return must(answer.type === 'Rfsync', answer);
  }),

  rule('fsync-directory', 'home', 'Tfsync of an open directory is answered with Rfsync', async (probe) => {
    const fid = await walk(probe, HOME);
    await probe.must('Tlopen', { fid, flags: OPEN.RDONLY });
    const answer = await probe.ask('Tfsync', { fid, datasync: 0 });
    return must(answer.type === 'Rfsync', answer);
  }),
];
