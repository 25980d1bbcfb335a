// The messages that 9P2000 and 9P2000.u have in common, in the forms of one of them.

import type { Codec } from '../../wire/p9/codec.ts';
import { remove } from '../handlers/dir.ts';
import { write } from '../handlers/io.ts';
import { attach, auth, clunk } from '../handlers/session.ts';
import { walk } from '../handlers/walk.ts';
import { read } from '../plan9/list.ts';
import { create, open } from '../plan9/open.ts';
import { stat } from '../plan9/stat.ts';
import { wstat } from '../plan9/wstat.ts';
import { type Dialect, type Handlers, lookUp } from './dialect.ts';
import type { Forms } from './forms.ts';

export function plan9Dialect(
  version: string,
  codec: Codec,
  forms: Forms,
  words: (ecode: number) => string,
  handlers: Handlers = {},
): Dialect {
  return {
    version,
    codec,
    handlerOf: lookUp({
      Tauth: auth,
      Tattach: attach,
      Tclunk: clunk,
      Twalk: walk,
      Topen: open(forms),
      Tcreate: create(forms),
      Tread: read(forms),
      Twrite: write,
      Tremove: remove,
      Tstat: stat(forms),
      Twstat: wstat(forms),
      ...handlers,
    }),
    refusal: (ecode) => ({ name: 'Rerror', body: { ename: words(ecode), ecode } }),
  };
}
