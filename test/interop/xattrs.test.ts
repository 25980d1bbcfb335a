// Extended attributes on real servers, many at once and one after the other: every value is what was set, nothing else is left on
// the file, and the clunk that sets one leaves before its value is taken on no server that would set less than that.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { connect } from '../../src/client/session.ts';
import { type Logger, silent } from '../../src/common/log.ts';
import { hostTree } from '../../src/server/server.ts';
import { parseAddress } from '../../src/transport/address.ts';
import { missingPrograms, startDiod, startGanesha } from '../support/debian.ts';
import { embeddedPeer } from '../support/exported.ts';
import { quote } from '../support/namespace.ts';
import { python } from '../support/posix.ts';
import { output } from '../support/shell.ts';
import { withTempDir } from '../support/tempdir.ts';

const [CREATE, REPLACE] = [1, 2];
const COUNT = 60;
const AT_ONCE = 8;

const embedded = (dir: string) => embeddedPeer(hostTree(dir, {}));

const peers = [
  { name: 'the embedded server', programs: [], start: embedded, together: true },
  { name: 'diod', programs: ['diod'], start: startDiod, together: false },
  { name: 'nfs-ganesha', programs: ['ganesha.nfsd'], start: (dir: string) => startGanesha(dir), together: false },
];

/** What the file has, as the system of the server says. */
async function attributesOf(file: string): Promise<Record<string, string>> {
  const code = `import json, os, sys; f = sys.argv[1]
print(json.dumps({n: os.getxattr(f, n).decode("latin1") for n in os.listxattr(f)}))`;
  return JSON.parse(await output(`${python} -c ${quote(code)} ${quote(file)}`)) as Record<string, string>;
}

/** Of the messages of a log at trace, whether a clunk has left between a Twrite and its answer. */
function clunkedUntaken(lines: readonly string[]): boolean {
  const tags = (pattern: RegExp, text: string) => pattern.exec(text)?.[1];
  const open = new Map<string, string>();
  return lines.some((line) => {
    const write = /^> Twrite tag (\d+) fid (\d+)/.exec(line);
    if (write !== null) open.set(write[1]!, write[2]!);
    const answered = tags(/^< \w+ tag (\d+)/, line);
    if (answered !== undefined) open.delete(answered);
    const clunked = tags(/^> Tclunk tag \d+ fid (\d+)/, line);
    return clunked !== undefined && [...open.values()].includes(clunked);
  });
}

describe.skipIf(process.getuid?.() !== 0).each(peers)('$name', ({ programs, start, together }) => {
  const missing = missingPrograms(...programs);

  it.skipIf(missing !== null)('has the values that were set, and no others', () =>
    withTempDir(async (dir) => {
      await writeFile(join(dir, 'file'), 'text');
      const server = await start(dir);
      const lines: string[] = [];
      const logger: Logger = {
        ...silent,
        isLevelEnabled: () => true,
        trace: (_fields: object, message?: string) => lines.push(message ?? ''),
      };
      try {
        const session = await connect(parseAddress(server.address), { version: '9P2000.L', logger });
        const { dialect } = session;
        const file = await dialect.walk(await dialect.attach('root', server.aname, 0), ['file']);
        const wanted: Record<string, string> = {};
        const set = async (i: number) => {
          const [name, value] = [`user.a${i % 20}`, `value ${i} `.repeat(1 + (i % 7))];
          wanted[name] = value;
          await dialect.setxattr(file, name, Buffer.from(value), 0);
        };
        for (let i = 0; i < COUNT; i++) await set(i);
        expect(await attributesOf(join(dir, 'file'))).toEqual(wanted);
        for (let i = COUNT; i < 2 * COUNT; i += AT_ONCE) {
          await Promise.all(Array.from({ length: AT_ONCE }, (_, k) => set(i + k)));
        }
        expect(await attributesOf(join(dir, 'file'))).toEqual(wanted);
        const other = Buffer.from('another');
        await expect(dialect.setxattr(file, 'user.a0', other, CREATE)).rejects.toMatchObject({ code: 'EEXIST' });
        await expect(dialect.setxattr(file, 'user.no', other, REPLACE)).rejects.toMatchObject({ code: 'ENODATA' });
        await expect(dialect.setxattr(file, 'no.space', other, 0)).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
        for (const name of Object.keys(wanted).slice(5)) {
          await dialect.removexattr(file, name);
          delete wanted[name];
        }
        expect(await attributesOf(join(dir, 'file'))).toEqual(wanted);
        expect(clunkedUntaken(lines)).toBe(together);
        session.close();
      } finally {
        await server.stop();
      }
    }),
  );
});
