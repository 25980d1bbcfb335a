// Owns: the questions about a fid after a rename, while nothing has the old name.
// Guarantees: each asks about one kind of fid and one message, so that a report says what exactly a server does.

import { fail, pass } from '../../rule.ts';
import { readFrom, source, textAt, writing } from '../identity.ts';
import {
  below,
  belowOpen,
  changes,
  directory,
  listing,
  looks,
  openDirectory,
  opened,
  type Question,
  unopened,
  walking,
} from './fids.ts';

export const plainQuestions: readonly Question[] = [
  {
    suffix: 'fid',
    text: (message) => `a fid names a file: after ${message} an unopened one is still that file`,
    begin: looks(unopened),
  },
  {
    suffix: 'fid-setattr',
    text: (message) => `after ${message} size and mode are set through an unopened fid of the file`,
    begin: changes(unopened),
  },
  {
    suffix: 'fid-walk',
    text: (message) => `after ${message} of a directory a walk from its fid leads to what is in it`,
    async begin(scene) {
      const fid = await directory(scene);
      return () => walking(scene, fid);
    },
  },
  {
    suffix: 'below',
    text: (message) => `after ${message} of a directory the unopened fids below it are still their files`,
    begin: looks(below),
  },
  {
    suffix: 'below-open',
    text: (message) => `after ${message} of a directory the open fids below it are still their files`,
    begin: looks(belowOpen),
  },
  {
    suffix: 'open-read',
    text: (message) => `after ${message} the file is read through a fid that was open`,
    async begin(scene) {
      const fid = await opened(scene);
      return async () => source(await readFrom(scene, fid));
    },
  },
  {
    suffix: 'open-write',
    text: (message) => `after ${message} the file is written through a fid that was open`,
    async begin(scene) {
      const fid = await opened(scene);
      return () => writing(scene, fid, { file: () => textAt(scene, scene.to) });
    },
  },
  {
    suffix: 'open-getattr',
    text: (message) => `after ${message} a fid that was open has the attributes of the file`,
    begin: looks(opened),
  },
  {
    suffix: 'open-setattr',
    text: (message) => `after ${message} size and mode are set through a fid that was open`,
    begin: changes(opened),
  },
  {
    suffix: 'open-fsync',
    text: (message) => `after ${message} the file is brought to stable storage through a fid that was open`,
    async begin(scene) {
      const fid = await opened(scene);
      return async () => {
        const { answer, isDone } = await scene.dialect.sync(scene.probe, fid);
        return isDone ? pass(answer) : fail(answer);
      };
    },
  },
  {
    suffix: 'open-readdir',
    text: (message) => `after ${message} a directory that was open is listed through its fid`,
    async begin(scene) {
      const fid = await openDirectory(scene);
      return () => listing(scene, fid);
    },
  },
];
