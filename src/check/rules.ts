// All rules, in the order in which they run and are listed. Their names do not change: reports of two versions are
// compared.

import type { Rule } from './rule.ts';
import { attachRules } from './rules/attach.ts';
import { attrRules } from './rules/attr.ts';
import { dirRules } from './rules/dir.ts';
import { fidRules } from './rules/fids.ts';
import { flushRules } from './rules/flush.ts';
import { ioRules } from './rules/io.ts';
import { lockRules } from './rules/lock.ts';
import { messageRules } from './rules/messages.ts';
import { openRules } from './rules/open.ts';
import { removedRules } from './rules/removed.ts';
import { renameRules, wstatRules } from './rules/rename.ts';
import { renamingRules } from './rules/renaming.ts';
import { runningRules } from './rules/running.ts';
import { unlinkRules } from './rules/unlink.ts';
import { versionRules } from './rules/version.ts';
import { walkRules } from './rules/walk.ts';
import { xattrRules } from './rules/xattr.ts';

export const rules: readonly Rule[] = [
  ...versionRules,
  ...attachRules,
  ...messageRules,
  ...flushRules,
  ...runningRules,
  ...walkRules,
  ...fidRules,
  ...openRules,
  ...renameRules,
  ...renamingRules('Trename'),
  ...renamingRules('Trenameat'),
  ...ioRules,
  ...dirRules,
  ...attrRules,
  ...unlinkRules,
  ...removedRules('dotl'),
  ...lockRules,
  ...xattrRules,
  ...wstatRules,
  ...renamingRules('Twstat'),
  ...removedRules('plan9'),
];
