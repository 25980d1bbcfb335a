// A server that drops what did not fit into one reply of a listing is told of once; one that goes on is not, whatever the
// lengths of its listings.

import { afterEach, describe, expect, test } from 'vitest';
import type { Connection } from '../../../src/client/connection.ts';
import type { Dialect } from '../../../src/client/dialects/dialect.ts';
import type { Version } from '../../../src/client/dialects/versions.ts';
import type { Fid } from '../../../src/client/fids.ts';
import { Session } from '../../../src/client/session.ts';
import { Writer } from '../../../src/common/writer.ts';
import { QT } from '../../../src/wire/p9/constants.ts';
import type { Message } from '../../../src/wire/p9/messages.ts';
import { statSize, UNTOUCHED, writeStat } from '../../../src/wire/p9/stat.ts';
import { direntSize, writeDirent } from '../../../src/wire/p9/types.ts';
import { expectIdle, expectNothingAfterEnd } from '../../support/leaks.ts';
import { keepingLogger, type Line } from '../../support/notes.ts';
import { type Scripted, scripted } from '../../support/scripted.ts';

/** Bytes asked for at once, by the tests. */
const COUNT = 4000;
const qid = { type: 0, version: 1, path: 7n };

let client: Connection;
let server: Scripted;
let dialect: Dialect;
let root: Fid;
let lines: Line[];
/** Names in the directory. */
let names: readonly string[];
/** Of a listing, only what fits into its first reply. */
let drops: boolean;

function entry(version: Version, name: string, index: number): Buffer {
  if (version === '9P2000.L') {
    const writer = Writer.sized(direntSize(name));
    writeDirent(writer, { qid, offset: BigInt(index + 1), type: 8, name });
    return Buffer.from(writer.bytes);
  }
  const stat = { ...UNTOUCHED, name, length: 0 };
  const writer = Writer.sized(statSize(stat, true));
  writeStat(writer, stat, true);
  return Buffer.from(writer.bytes);
}

/** As many whole entries as fit, from the place that was asked for. */
function list(version: Version, { offset, count }: { offset: bigint | number; count: number }): Buffer {
  if (drops && Number(offset) > 0) return Buffer.alloc(0);
  const all = names.map((name, i) => entry(version, name, i));
  let from = 0;
  for (let at = 0; version === '9P2000.L' ? from < Number(offset) : at < Number(offset); from++)
    at += all[from]!.length;
  const parts: Buffer[] = [];
  let size = 0;
  for (const part of all.slice(from)) {
    size += part.length;
    if (size > count) break;
    parts.push(part);
  }
  return Buffer.concat(parts);
}

async function begin(version: Version): Promise<void> {
  const kept = keepingLogger();
  lines = kept.lines;
  drops = false;
  ({ client, server } = await scripted({ version, logger: kept.logger }));
  ({ dialect } = new Session(client));
  server.answer = (message: Message) => {
    const { tag, type } = message;
    if (type === 'Tattach') server.reply(tag, 'Rattach', { qid: { ...qid, type: QT.DIR } });
    else if (type === 'Twalk') server.reply(tag, 'Rwalk', { qids: [] });
    else if (type === 'Tclunk') server.reply(tag, 'Rclunk', {});
    else if (type === 'Treaddir') server.reply(tag, 'Rreaddir', { data: list(version, message) });
    else if (type === 'Tread') server.reply(tag, 'Rread', { data: list(version, message) });
    else throw new Error(`not expected: ${type}`);
  };
  root = await dialect.attach('me', '', 0);
}

afterEach(() => expectNothingAfterEnd(client));

/** Lists a directory of so many names, through a fid of its own; returns how many came. */
async function listing(count: number): Promise<number> {
  names = Array.from({ length: count }, (_, i) => `name-${String(i).padStart(6, '0')}`);
  const dir = await dialect.walk(root, []);
  let found = 0;
  // behind `.` and `..`, which .L's servers send and the others do not
  for (let at = client.version === '9P2000.L' ? 0n : 2n; ; ) {
    const some = await dialect.readdir(dir, at, COUNT);
    const last = some.at(-1);
    if (last === undefined) break;
    at = last.offset;
    found += some.length;
  }
  client.fids.close(dir);
  return found;
}

const complaints = () => lines.filter(({ level }) => level === 'warn');

describe.each<Version>(['9P2000.L', '9P2000.u'])('%s: a server that', (version) => {
  const size = entry(version, 'name-000000', 0).length;
  /** So many names fill a reply. */
  const full = Math.floor(COUNT / size);

  test('drops what does not fit is told of once', async () => {
    await begin(version);
    drops = true;
    expect(await listing(3)).toBe(3);
    expect(complaints()).toEqual([]);
    expect(await listing(full + 50)).toBe(full);
    expect(complaints()).toMatchObject([{ fid: expect.any(Number), qid: String(qid.path) }]);
    await listing(full + 50);
    expect(complaints()).toHaveLength(1);
    await expectIdle(client, 1);
  });

  test('goes on is not told of, though later a listing ends with a full reply', async () => {
    await begin(version);
    expect(await listing(2 * full + 3)).toBe(2 * full + 3);
    expect(await listing(2 * full)).toBe(2 * full);
    expect(complaints()).toEqual([]);
    await expectIdle(client, 1);
  });

  test('ends its first long listing with a full reply may be suspected, whatever it is', async () => {
    await begin(version);
    expect(await listing(2 * full)).toBe(2 * full);
    expect(complaints()).toHaveLength(1);
  });

  test('has room left in its last reply is not suspected', async () => {
    await begin(version);
    // less than a name of 255 bytes would need is room for no entry that is certain to fit
    const room = Math.ceil((version === '9P2000.L' ? 279 : 414) / size);
    expect(await listing(full - room - 1)).toBe(full - room - 1);
    expect(complaints()).toEqual([]);
    expect(await listing(full - room + 1)).toBe(full - room + 1);
    expect(complaints()).toHaveLength(1);
  });

  test('is asked for an earlier place again has not ended there', async () => {
    await begin(version);
    names = Array.from({ length: full }, (_, i) => `name-${String(i).padStart(6, '0')}`);
    const dir = await dialect.walk(root, []);
    await dialect.readdir(dir, 0n, COUNT);
    names = [];
    // the directory was emptied, and is listed from its start
    await dialect.readdir(dir, 0n, COUNT);
    expect(complaints()).toEqual([]);
  });
});
