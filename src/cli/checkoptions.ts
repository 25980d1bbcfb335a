// The `-o` vocabulary of `ninefs check`: how its connections attach, under the names that a mount has for it.

import { MIN_MSIZE } from '../wire/p9/constants.ts';
import { type OptionTable, optionRows, readOptions } from './optionlist.ts';
import { MIB, number, type Option, text } from './options.ts';

/** What the options say; what they leave out is absent. */
export interface CheckChoices {
  aname?: string;
  uname?: string;
  nUname?: number;
  msize?: number;
  port?: number;
  hang?: string;
}

const UINT32 = 0xffffffff;

export const checkOptions: readonly Option<CheckChoices>[] = [
  text<CheckChoices>('aname', 'NAME', 'the tree to attach to (default: empty, the server chooses)', (to, name) => {
    to.aname = name;
  }),
  text<CheckChoices>('uname', 'NAME', 'the user name sent with it (default: yours)', (to, name) => {
    to.uname = name;
  }),
  number<CheckChoices>('n_uname', 'number', [0, UINT32], 'the uid sent with it (default: yours)', (to, uid) => {
    to.nUname = uid;
  }),
  number<CheckChoices>('msize', 'bytes', [MIN_MSIZE, MIB], 'the msize that is offered (default 8216)', (to, bytes) => {
    to.msize = bytes;
  }),
  number<CheckChoices>(
    'port',
    'number',
    [1, 65535],
    'TCP port, for an address without one (default 564)',
    (to, port) => {
      to.port = port;
    },
  ),
  text<CheckChoices>(
    'hang',
    'PATH',
    'a file whose reads wait until they are flushed, for the rules on requests that run',
    (to, path) => {
      to.hang = path;
    },
    (path) => (/[^/]/.test(path) ? undefined : 'it takes the path of a file'),
  ),
];

const table: OptionTable<CheckChoices> = {
  options: checkOptions,
  ignored: [],
  isIgnored: () => false,
  help: 'ninefs check --help',
};

/** Throws ConfigError. */
export function parseCheckOptions(lists: readonly string[]): CheckChoices {
  return readOptions(lists, table, {});
}

export function checkOptionsHelp(): string {
  return ['Options of -o (several lists add up, the last of a kind wins):', ...optionRows(checkOptions)].join('\n');
}
