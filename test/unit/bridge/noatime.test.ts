// Who is asked for O_NOATIME, and what becomes of a refusal.

import { expect, test } from 'vitest';
import { NoAtime } from '../../../src/bridge/files/noatime.ts';
import { errno } from '../../../src/common/errno.ts';
import { ErrnoError } from '../../../src/common/errors.ts';
import { silent } from '../../../src/common/log.ts';
import { OPEN } from '../../../src/wire/p9/constants.ts';

const { RDONLY, RDWR, WRONLY, NOATIME } = OPEN;
const [ROOT, ANN, BOB] = [0, 1000, 1001];

/** With the flags of each open that it ran; `refuses` says with what a server answers to flags. */
function mount({ wanted = true, refuses = (_flags: number): number => 0 } = {}) {
  const noAtime = new NoAtime({ wanted, users: { atServer: ({ uid }) => uid }, logger: silent });
  return async (uid: number, owner: number | undefined, flags: number): Promise<number[]> => {
    const sent: number[] = [];
    await noAtime
      .opening({ uid }, owner, flags, async (each) => {
        sent.push(each);
        const refusal = refuses(each);
        if (refusal !== 0) throw new ErrnoError(refusal);
      })
      .catch((error: unknown) => {
        expect(error).toMatchObject({ errno: refuses(sent.at(-1) ?? 0) });
        sent.push(-1);
      });
    return sent;
  };
}

test.each([
  ['root, for whomever the file is', ROOT, ANN, RDONLY, RDONLY | NOATIME],
  ['the owner', ANN, ANN, RDWR, RDWR | NOATIME],
  ['who makes the file', ANN, undefined, RDWR, RDWR | NOATIME],
  ['not another user', BOB, ANN, RDONLY, RDONLY],
  ['nobody who does not read', ROOT, ROOT, WRONLY, WRONLY],
])('it is for %s', async (_who, uid, owner, flags, sent) => {
  expect(await mount()(uid, owner, flags)).toEqual([sent]);
  expect(await mount({ wanted: false })(uid, owner, flags)).toEqual([flags]);
});

test.each(['EPERM', 'EINVAL', 'EOPNOTSUPP'] as const)(
  '%s: opened without, and that user is not asked again',
  async (code) => {
    const open = mount({ refuses: (flags) => ((flags & NOATIME) !== 0 ? errno[code] : 0) });
    expect(await open(ANN, ANN, RDONLY)).toEqual([RDONLY | NOATIME, RDONLY]);
    expect(await open(ANN, ANN, RDONLY)).toEqual([RDONLY]);
    expect(await open(BOB, BOB, RDONLY)).toEqual([RDONLY | NOATIME, RDONLY]);
  },
);

test('what is refused without it too says nothing of it', async () => {
  let refusal: number = errno.EPERM;
  const open = mount({ refuses: () => refusal });
  expect(await open(ANN, ANN, RDWR)).toEqual([RDWR | NOATIME, RDWR, -1]);
  refusal = errno.EACCES;
  expect(await open(ANN, ANN, RDWR)).toEqual([RDWR | NOATIME, -1]);
  refusal = 0;
  expect(await open(ANN, ANN, RDWR)).toEqual([RDWR | NOATIME]);
});
