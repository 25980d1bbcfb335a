// What transport.ts promises, checked on any pair of connected transports. memory.test.ts and socket.test.ts run it.

import { afterEach, describe, expect, test } from 'vitest';
import { ProtocolError } from '../../../src/common/errors.ts';
import type { Transport } from '../../../src/transport/transport.ts';
import { content, frame, inbox, sent, turn } from './kit.ts';

export interface Pair {
  /** Two ends that have not started. */
  ends: [Transport, Transport];
  /** Frees what belongs to the pair; both ends are closed by then. */
  dispose(): Promise<void>;
}

export function transportContract(name: string, makePair: () => Promise<Pair>): void {
  describe(name, () => {
    let open: Pair[] = [];
    const pair = async (): Promise<[Transport, Transport]> => {
      const made = await makePair();
      open.push(made);
      return made.ends;
    };

    afterEach(async () => {
      const used = open;
      open = [];
      for (const { ends, dispose } of used) {
        for (const end of ends) {
          end.start(inbox().receiver);
          end.close();
        }
        await Promise.all(ends.map((end) => end.closed));
        await dispose();
      }
    });

    test('frames arrive whole and in order, in both directions at once', async () => {
      const [a, b] = await pair();
      const [atA, atB] = [inbox(), inbox()];
      a.start(atA.receiver);
      b.start(atB.receiver);
      const lengths = Array.from({ length: 60 }, (_, i) => [0, 1, 100, 5000, 70_000][i % 5]! + i);
      for (const [tag, length] of lengths.entries()) {
        a.send(...frame(tag, length));
        b.send(...frame(tag + 1000, length));
        if (tag % 7 === 0) await turn();
      }
      await Promise.all([atA.count(lengths.length), atB.count(lengths.length)]);
      expect(atB.frames.map(({ tag }) => tag)).toEqual([...lengths.keys()]);
      expect(atA.frames.map(({ tag }) => tag)).toEqual([...lengths.keys()].map((tag) => tag + 1000));
      for (const { tag, bytes } of [...atA.frames, ...atB.frames]) {
        expect(bytes.equals(content(tag, lengths[tag % 1000]!)), `tag ${tag}`).toBe(true);
      }
    });

    test('what was sent before the other side starts waits for it', async () => {
      const [a, b] = await pair();
      a.send(...frame(1, 100));
      await Promise.all([sent(a, frame(3, 100)), sent(b, frame(2, 100))]);
      for (let i = 0; i < 20; i++) await turn(); // an end that reads too early has read by then
      const [atA, atB] = [inbox(), inbox()];
      b.start(atB.receiver);
      a.start(atA.receiver);
      await Promise.all([atB.count(2), atA.count(1)]);
      expect([...atB.frames, ...atA.frames].map(({ tag }) => tag)).toEqual([1, 3, 2]);
    });

    test('`taken` runs once a frame, in order, never within send()', async () => {
      const [a, b] = await pair();
      const atB = inbox();
      b.start(atB.receiver);
      const order: number[] = [];
      let sending = true;
      for (let tag = 0; tag < 40; tag++) {
        const [head, payload] = frame(tag, tag * 500);
        a.send(head, tag % 2 === 0 ? payload : Buffer.concat([payload]), () => {
          expect(sending).toBe(false);
          order.push(tag);
        });
      }
      sending = false;
      await atB.count(40);
      await sent(a, frame(99, 0));
      expect(order).toEqual([...Array(40).keys()]);
    });

    test('`taken` runs also for frames that the end of the transport overtakes, and for those after it', async () => {
      const [a] = await pair();
      const runs: number[] = [];
      const taken: Promise<void>[] = [];
      const send = (tag: number): void => {
        taken.push(
          new Promise((resolve) => {
            a.send(...frame(tag, 200_000), () => {
              runs.push(tag);
              resolve();
            });
          }),
        );
      };
      for (let tag = 0; tag < 20; tag++) send(tag);
      await turn();
      for (let tag = 20; tag < 22; tag++) send(tag);
      a.close();
      send(22);
      await a.closed;
      send(23);
      await Promise.all(taken);
      await turn();
      expect(runs.toSorted((x, y) => x - y)).toEqual([...Array(24).keys()]);
      expect(a.send(...frame(24, 1))).toBe(false);
    });

    test('a sender whose peer does not read is held back, and told when to go on', async () => {
      const [a, b] = await pair();
      let drained = 0;
      const drain = new Promise<void>((resolve) => {
        a.onDrain = () => {
          drained++;
          resolve();
        };
      });
      let tag = 0;
      // the system's own buffers take a few MiB at most
      while (a.send(...frame(tag++, 1 << 20))) expect(tag).toBeLessThan(64);
      for (let i = 0; i < 16; i++) a.send(...frame(tag++, 1 << 20));
      await turn();
      expect(drained).toBe(0);
      const atB = inbox();
      b.start(atB.receiver);
      await drain;
      expect(a.send(...frame(tag++, 10))).toBe(true);
      await atB.count(tag);
      expect(atB.frames.map((each) => each.tag)).toEqual([...Array(tag).keys()]);
    });

    test('pause() stops the delivery and resume() goes on where it was', async () => {
      const [a, b] = await pair();
      const atA = inbox();
      const atB = inbox((tag) => {
        if (tag === 0) b.pause();
      });
      a.start(atA.receiver);
      b.start(atB.receiver);
      a.send(...frame(0, 10));
      await atB.count(1);
      for (let tag = 1; tag <= 20; tag++) a.send(...frame(tag, 50_000));
      // a round through the other direction: what was to arrive would have
      for (let tag = 1; tag <= 5; tag++) {
        b.send(...frame(tag, 10));
        await atA.count(tag);
        await turn();
      }
      const before = atB.frames.length;
      expect(before).toBeLessThanOrEqual(2); // the rest of the chunk that was being delivered may come
      b.resume();
      await atB.count(21);
      expect(atB.frames.map(({ tag }) => tag)).toEqual([...Array(21).keys()]);
    });

    test('an orderly end reaches both sides without an error, behind all that was sent', async () => {
      const [a, b] = await pair();
      const atB = inbox();
      a.start(inbox().receiver);
      b.start(atB.receiver);
      await Promise.all([sent(a, frame(1, 300_000)), atB.count(1)]);
      await sent(a, frame(2, 10));
      a.close();
      expect(await a.closed).toBeUndefined();
      expect(await b.closed).toBeUndefined();
      expect(atB.frames.map(({ tag }) => tag)).toEqual([1, 2]);
    });

    test('`closed` settles once, with the first error; later ends are harmless', async () => {
      const [a, b] = await pair();
      a.start(inbox().receiver);
      b.start(inbox().receiver);
      const first = new ProtocolError('first');
      a.close(first);
      a.close(new ProtocolError('second'));
      a.close();
      expect(await a.closed).toBe(first);
      expect(await b.closed).toBeUndefined();
      a.close(new ProtocolError('third'));
      expect(await a.closed).toBe(first);
      a.pause();
      a.resume();
    });

    test('what the receiver throws ends the transport with that error, and nothing more is delivered', async () => {
      const [a, b] = await pair();
      const error = new ProtocolError('tag 3 is not outstanding');
      const seen: number[] = [];
      const atB = inbox((tag) => {
        seen.push(tag);
        if (tag === 3) throw error;
      });
      a.start(inbox().receiver);
      b.start(atB.receiver);
      for (let tag = 0; tag < 10; tag++) a.send(...frame(tag, 3000));
      expect(await b.closed).toBe(error);
      await a.closed;
      await turn();
      expect(seen).toEqual([0, 1, 2, 3]);
    });

    test('after the end nothing is delivered', async () => {
      const [a, b] = await pair();
      const atB = inbox((tag) => {
        if (tag === 1) b.close();
      });
      a.start(inbox().receiver);
      b.start(atB.receiver);
      for (let tag = 0; tag < 10; tag++) {
        await sent(a, frame(tag, 10));
        if (tag === 1) await b.closed;
      }
      await a.closed;
      await turn();
      expect(atB.frames.map(({ tag }) => tag)).toEqual([0, 1]);
    });

    test('32 MiB in frames of a MiB arrive intact', async () => {
      const [a, b] = await pair();
      const atB = inbox();
      a.start(inbox().receiver);
      b.start(atB.receiver);
      const payload = content(7, 1 << 20);
      for (let tag = 0; tag < 32; tag++) {
        payload.writeUInt32LE(tag, 0);
        const [head] = frame(tag, 0);
        head.writeUInt32LE(11 + payload.length, 0);
        head.writeUInt32LE(payload.length, 7);
        await sent(a, [head, payload]); // taken: the payload may be changed
      }
      await atB.count(32);
      for (const [i, { tag, bytes }] of atB.frames.entries()) {
        payload.writeUInt32LE(i, 0);
        expect([tag, bytes.equals(payload)]).toEqual([i, true]);
      }
    });

    test('says who the peer is', async () => {
      for (const end of await pair()) expect(end.peer).toMatch(/^(tcp!.+!\d+|unix!\/.+|unix client \d+|memory .+)$/);
    });
  });
}
