// The log as it is written: what a name holds that is not UTF-8 is told from all else, and each line stays JSON.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openLog } from '../../../src/cli/logging.ts';
import { withTempDir } from '../../support/tempdir.ts';

test('bytes that are not UTF-8 are escapes, in fields and in messages', () =>
  withTempDir(async (dir) => {
    const file = join(dir, 'log');
    const log = openLog({ level: 'info', file });
    const fields = { name: 'caf\udce9', error: new Error('\udcff') };
    log.child('bridge').info({ ...fields, deep: { name: '\udc80é' } }, 'about \udcff');
    log.child('bridge').info({ name: '\ufffd \\udcff' }, 'plain');
    log.flush();
    const text = readFileSync(file, 'utf8');
    expect(text).toContain(String.raw`"name":"caf\udce9"`);
    expect(text).toContain(String.raw`"msg":"about \udcff"`);
    const lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { msg: string });
    // what is flushed may come before what was being written
    const odd = lines.find(({ msg }) => msg.startsWith('about'));
    const plain = lines.find(({ msg }) => msg === 'plain');
    expect(odd).toMatchObject({ name: fields.name, deep: { name: '\udc80é' }, msg: 'about \udcff' });
    expect(plain).toMatchObject({ name: '\ufffd \\udcff', msg: 'plain' });
  }));
