// The user database that an embedded server is given for the POSIX checks: this machine's own users, and the two of
// test/posix/kit.py that are in a group. 9P names a user by number only, so a server knows no other groups of it.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { UserFiles } from '../../src/server/users.ts';

/** TEAM, MEMBER and MATE of kit.py. */
const TEAM = 64000;
const MEMBER = 64001;
const MATE = 64002;

/** Writes passwd(5) and group(5) into `dir`. */
export async function writeAccounts(dir: string): Promise<UserFiles> {
  const files = { passwd: join(dir, 'passwd'), group: join(dir, 'group') };
  const accounts = `member:x:${MEMBER}:${MEMBER}::/:/bin/false\nmate:x:${MATE}:${TEAM}::/:/bin/false\n`;
  await writeFile(files.passwd, (await readFile('/etc/passwd', 'utf8')) + accounts);
  await writeFile(files.group, `${await readFile('/etc/group', 'utf8')}team:x:${TEAM}:member\n`);
  return files;
}
