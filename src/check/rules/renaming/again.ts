// Owns: the questions about a fid after a rename, while another file or directory has the old name.
// Guarantees: what should be left alone is looked at whatever the server answered, since some change it and refuse.

import type { Entry } from '../../dialects/dialect.ts';
import { Probe } from '../../probe.ts';
import { fail, pass } from '../../rule.ts';
import { find, walk } from '../../steps.ts';
import { mkdir, put, putOther, readFrom, source, textAt, writing } from '../identity.ts';
import {
  below,
  changes,
  directory,
  INNER,
  listing,
  looks,
  openDirectory,
  opened,
  type Question,
  STRANGER,
  secondDirectory,
  unopened,
  walking,
} from './fids.ts';

const { HOME } = Probe;
const MADE = 'made';
const inner: Entry = { name: INNER, isDirectory: false };

export const againQuestions: readonly Question[] = [
  {
    suffix: 'again-getattr',
    text: (message) =>
      `after ${message}, and with another file under the old name, an unopened fid is the renamed file`,
    begin: looks(unopened, putOther),
  },
  {
    suffix: 'again-setattr',
    text: (message) => `after ${message} nothing that is set through an unopened fid hits another file of the old name`,
    begin: changes(unopened, putOther),
  },
  {
    suffix: 'again-walk',
    text: (message) => `after ${message} a walk from a directory's fid never leads into another one of the old name`,
    async begin(scene) {
      const fid = await directory(scene);
      return async () => {
        return walking(scene, fid, await secondDirectory(scene));
      };
    },
  },
  {
    suffix: 'again-create',
    text: (message) => `after ${message} what is created through a directory's fid is in that directory`,
    async begin(scene) {
      const { probe, dialect } = scene;
      const fid = await directory(scene);
      return async () => {
        const other = await mkdir(scene, scene.from);
        const { answer, isDone } = await dialect.make(probe, fid, MADE);
        if ((await find(probe, MADE, other)) !== undefined) {
          return fail(answer, 'and it is in another directory: the fid means what has the old name now');
        }
        const isThere = (await find(probe, MADE, await walk(probe, HOME, scene.to))) !== undefined;
        return isDone && isThere ? pass(answer, 'and it is there') : fail(answer, 'and it is in neither directory');
      };
    },
  },
  {
    suffix: 'again-remove',
    text: (message) => `after ${message} what is removed through a directory's fid is gone from that directory`,
    async begin(scene) {
      const { probe, dialect } = scene;
      const fid = await directory(scene);
      return async () => {
        const other = await mkdir(scene, scene.from);
        await probe.must('Tclunk', { fid: await put(scene, INNER, undefined, other) });
        const { answer, isDone } = await dialect.remove(probe, fid, inner);
        if ((await find(probe, INNER, other)) === undefined) {
          return fail(answer, 'and it is gone from another directory: the fid means what has the old name now');
        }
        const isThere = (await find(probe, INNER, await walk(probe, HOME, scene.to))) !== undefined;
        return isDone && !isThere ? pass(answer, 'and it is gone') : fail(answer, 'and it is still there');
      };
    },
  },
  {
    suffix: 'again-below',
    text: (message) =>
      `after ${message} of a directory no fid below it becomes one of another directory of the old name`,
    begin: looks(below, secondDirectory),
  },
  {
    suffix: 'again-open-read',
    text: (message) => `after ${message} nothing of another file of the old name is read through a fid that was open`,
    async begin(scene) {
      const fid = await opened(scene);
      return async () => {
        await putOther(scene);
        return source(await readFrom(scene, fid));
      };
    },
  },
  {
    suffix: 'again-open-write',
    text: (message) => `after ${message} no write through a fid that was open hits another file of the old name`,
    async begin(scene) {
      const fid = await opened(scene);
      return async () => {
        await putOther(scene);
        return writing(scene, fid, {
          file: () => textAt(scene, scene.to),
          other: () => textAt(scene, scene.from),
        });
      };
    },
  },
  {
    suffix: 'again-open-getattr',
    text: (message) =>
      `after ${message}, and with another file under the old name, a fid that was open is the renamed file`,
    begin: looks(opened, putOther),
  },
  {
    suffix: 'again-open-setattr',
    text: (message) =>
      `after ${message} nothing that is set through a fid that was open hits another file of the old name`,
    begin: changes(opened, putOther),
  },
  {
    suffix: 'again-open-readdir',
    text: (message) => `after ${message} an open directory is never listed as another one of the old name`,
    async begin(scene) {
      const fid = await openDirectory(scene);
      return async () => {
        await put(scene, STRANGER, undefined, await mkdir(scene, scene.from));
        return listing(scene, fid);
      };
    },
  },
];
