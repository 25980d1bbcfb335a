import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decideInterrupt,
  type InterruptDecision,
  type InterruptMode,
  isDying,
  parseSignalMasks,
  readSignalMasks,
  type SignalMasks,
} from '../../../src/fuse/interrupt.ts';

const bits = (...signals: number[]): bigint => signals.reduce((mask, signal) => mask | (1n << BigInt(signal - 1)), 0n);
const masks = (some: Partial<SignalMasks> = {}): SignalMasks => ({
  sigPnd: 0n,
  shdPnd: 0n,
  sigBlk: 0n,
  sigIgn: 0n,
  sigCgt: 0n,
  ...some,
});

const [INT, QUIT, ABRT, KILL, ALRM, TERM, CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG, WINCH] = [
  2, 3, 6, 9, 14, 15, 17, 18, 19, 20, 21, 22, 23, 28,
] as const;

describe('who is dying', () => {
  test.each<[string, SignalMasks, boolean]>([
    ['nothing pending', masks(), false],
    ['SIGKILL in the thread: the mark of any fatal signal', masks({ sigPnd: bits(KILL) }), true],
    ['SIGKILL in the process', masks({ shdPnd: bits(KILL) }), true],
    ['SIGQUIT, which dumps core and leaves no mark', masks({ shdPnd: bits(QUIT) }), true],
    ['SIGABRT to the thread', masks({ sigPnd: bits(ABRT) }), true],
    ['SIGQUIT, caught', masks({ shdPnd: bits(QUIT), sigCgt: bits(QUIT) }), false],
    ['SIGQUIT, ignored', masks({ shdPnd: bits(QUIT), sigIgn: bits(QUIT) }), false],
    ['SIGTERM, blocked', masks({ shdPnd: bits(TERM), sigBlk: bits(TERM) }), false],
    ['SIGALRM, caught', masks({ shdPnd: bits(ALRM), sigCgt: bits(ALRM) }), false],
    ['SIGALRM caught, SIGINT not', masks({ shdPnd: bits(ALRM, INT), sigCgt: bits(ALRM) }), true],
    ['a real-time signal at its default', masks({ sigPnd: bits(40) }), true],
  ])('%s', (_, given, dying) => {
    expect(isDying(given)).toBe(dying);
  });

  test.each([CHLD, CONT, URG, WINCH, STOP, TSTP, TTIN, TTOU])('signal %i alone kills nobody', (signal) => {
    expect(isDying(masks({ sigPnd: bits(signal), shdPnd: bits(signal) }))).toBe(false);
  });
});

describe('the policy', () => {
  const dying = masks({ sigPnd: bits(KILL) });
  const harmless = masks({ shdPnd: bits(ALRM), sigCgt: bits(ALRM) });
  const unknown = undefined;
  type Row = [
    mode: InterruptMode,
    masks: SignalMasks | undefined,
    mayBlock: boolean,
    elapsedMs: number,
    InterruptDecision,
  ];
  test.each<Row>([
    ['auto', dying, false, 0, 'flush-dying'],
    ['auto', dying, true, 5000, 'flush-dying'],
    // an empty file looks like a stream: reading it must not fail for whoever preempts himself by signals
    ['auto', harmless, true, 99, 'wait'],
    ['auto', harmless, true, 100, 'flush'],
    ['auto', harmless, false, 0, 'wait'],
    ['auto', harmless, false, 999, 'wait'],
    ['auto', harmless, false, 1000, 'flush'],
    ['auto', unknown, true, 99, 'wait'],
    ['auto', unknown, true, 100, 'flush'],
    ['auto', unknown, false, 999, 'wait'],
    ['auto', unknown, false, 1000, 'flush'],
    ['now', dying, false, 0, 'flush-dying'],
    ['now', harmless, false, 0, 'flush'],
    ['now', unknown, false, 0, 'flush'],
    ['fatal', dying, false, 0, 'flush-dying'],
    ['fatal', harmless, true, 99_999, 'wait'],
    ['fatal', unknown, true, 99_999, 'ignore'],
    ['off', dying, true, 99_999, 'ignore'],
    ['off', unknown, true, 99_999, 'ignore'],
  ])('%s %o mayBlock=%s after %i ms: %s', (mode, given, mayBlock, elapsedMs, decision) => {
    expect(decideInterrupt({ mode, masks: given, mayBlock, elapsedMs, graceMs: 1000 })).toBe(decision);
  });

  const anyMask = fc.bigInt(0n, (1n << 64n) - 1n);
  const anyMasks = fc.record({ sigPnd: anyMask, shdPnd: anyMask, sigBlk: anyMask, sigIgn: anyMask, sigCgt: anyMask });

  test('a dying caller is never left waiting, unless interrupts are off', () => {
    fc.assert(
      fc.property(
        anyMasks,
        fc.constantFrom('auto', 'now', 'fatal'),
        fc.boolean(),
        fc.nat(),
        (given, mode, mayBlock, ms) => {
          const decision = decideInterrupt({ mode, masks: given, mayBlock, elapsedMs: ms, graceMs: 1000 });
          expect(decision === 'flush-dying').toBe(isDying(given));
        },
      ),
    );
  });
});

describe('/proc/<pid>/status', () => {
  const text = [
    'Name:\tcat',
    'SigQ:\t0/127',
    'SigPnd:\t0000000000000100',
    'ShdPnd:\t0000000000000002',
    'SigBlk:\t0000000000010000',
    'SigIgn:\t0000000001001000',
    'SigCgt:\tfffffffe7ffbfeff',
    '',
  ].join('\n');

  test('is parsed in full 64 bits', () => {
    expect(parseSignalMasks(text)).toEqual({
      sigPnd: 0x100n,
      shdPnd: 2n,
      sigBlk: 0x10000n,
      sigIgn: 0x1001000n,
      sigCgt: 0xfffffffe7ffbfeffn,
    });
  });

  test('is unknown when a mask is missing', () => {
    expect(parseSignalMasks(text.replace('SigCgt', 'Other'))).toBeUndefined();
    expect(parseSignalMasks('')).toBeUndefined();
  });

  test.skipIf(process.platform !== 'linux')('of a process that is not there is unknown', () => {
    expect(readSignalMasks(0)).toBeUndefined();
    expect(readSignalMasks(2 ** 22 + 1)).toBeUndefined();
    expect(readSignalMasks(process.pid)).toMatchObject({ sigPnd: 0n });
  });
});
