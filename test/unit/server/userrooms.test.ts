// What each user of a tree may have, and that those who have nothing are forgotten.

import { expect, test } from 'vitest';
import { UserRooms } from '../../../src/server/trees/userrooms.ts';

const user = (uid: number) => ({ uid, gid: uid, groups: [uid], uname: `${uid}`, newGroup: 'own' }) as const;

test('one user has half at the most, the next still some', () => {
  const rooms = new UserRooms(100);
  const take = (uid: number) => {
    let count = 0;
    while (rooms.of(user(uid)).take()) count++;
    return count;
  };
  expect([take(1), take(2), take(3)]).toEqual([50, 25, 13]);
  rooms.of(user(1)).give(50);
  expect(take(3)).toBe(25);
});

test('what a user has is remembered, whoever asks meanwhile', () => {
  const rooms = new UserRooms(1000);
  rooms.of(user(1)).add(10);
  const known = rooms.of(user(1));
  for (let uid = 2; uid < 2000; uid++) rooms.of(user(uid));
  expect(rooms.of(user(1))).toBe(known);
  const idle = rooms.of(user(2));
  for (let uid = 3000; uid < 5000; uid++) rooms.of(user(uid));
  expect(rooms.of(user(2))).not.toBe(idle);
});
