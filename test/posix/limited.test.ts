// The POSIX checks about names on servers that lack what .L has for them: a server without Tunlinkat and Trenameat, as older
// ones are, which says so by one errno or the other. What is removed and renamed goes by Tremove and Trename then, and what
// is open goes on working.

import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CacheMode } from '../../src/bridge/settings.ts';
import { errno } from '../../src/common/errno.ts';
import { hostTree, memoryTree } from '../../src/server/server.ts';
import { Users } from '../../src/server/users.ts';
import { posixSuite } from '../support/posix.ts';
import { type Tapped, tapped } from '../support/wiretap.ts';

const modes: { tree: 'memory' | 'host'; cache: CacheMode; ecode: number }[] = [
  { tree: 'memory', cache: 'none', ecode: errno.EOPNOTSUPP },
  { tree: 'host', cache: 'auto', ecode: errno.ENOSYS },
];

describe.skipIf(!existsSync('/dev/fuse') || process.getuid?.() !== 0).each(modes)(
  'a server that answers errno $ecode to Tunlinkat and Trenameat: the $tree tree, cache=$cache',
  ({ tree, cache, ecode }) => {
    let at: Tapped;
    beforeAll(async () => {
      at = await tapped('limited', {
        tree: (dir) => (tree === 'memory' ? memoryTree() : hostTree(dir, {})),
        users: new Users(),
        cache,
        allowOther: true,
        defaultPermissions: true,
        meddle: (message) =>
          message.type === 'Tunlinkat' || message.type === 'Trenameat' ? { refuse: ecode } : message,
      });
      // one after the other: of the checks, which run side by side, several would ask before the first is refused
      expect((await at.during('touch a && mv a b && rm b')).code).toBe(0);
    });
    afterAll(() => at?.end());

    posixSuite('POSIX', () => at.mountpoint, { only: ['unlink', 'rename', 'honest'] });

    it('was asked once for each of the two', () => {
      expect(at.talk.all('Tunlinkat')).toHaveLength(1);
      expect(at.talk.all('Trenameat')).toHaveLength(1);
      expect(at.talk.all('Tremove').length).toBeGreaterThan(50);
      expect(at.talk.all('Trename').length).toBeGreaterThan(20);
    });
  },
);
