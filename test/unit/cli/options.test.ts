import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { optionsHelp, parseOptions, sloppyList, splitOptions } from '../../../src/cli/optionlist.ts';
import { ignored, options } from '../../../src/cli/options.ts';
import { ConfigError } from '../../../src/common/errors.ts';

function refusal(...lists: string[]): string {
  try {
    parseOptions(lists);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).exitCode).toBe(2);
    return (error as ConfigError).message;
  }
  throw new Error(`accepted: ${lists.join(' ')}`);
}

describe('splitting a list', () => {
  test.each([
    ['ro', [{ name: 'ro', value: undefined }]],
    [
      'aname=/a\\,b,ro',
      [
        { name: 'aname', value: '/a,b' },
        { name: 'ro', value: undefined },
      ],
    ],
    ['aname=a=b', [{ name: 'aname', value: 'a=b' }]],
    ['aname=', [{ name: 'aname', value: '' }]],
    [
      'aname=c\\\\,ro',
      [
        { name: 'aname', value: 'c\\' },
        { name: 'ro', value: undefined },
      ],
    ],
    ['aname=c\\d', [{ name: 'aname', value: 'c\\d' }]],
    [
      ',ro,,rw,',
      [
        { name: 'ro', value: undefined },
        { name: 'rw', value: undefined },
      ],
    ],
    ['', []],
  ])('%s', (list, expected) => {
    expect(splitOptions(list)).toEqual(expected);
  });

  test('any value comes back when its commas and backslashes are escaped', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 1 }), (values) => {
        const escaped = values.map((value) => `x=${value.replace(/[\\,]/g, '\\$&')}`);
        expect(splitOptions(escaped.join(',')).map((option) => option.value)).toEqual(values);
      }),
    );
  });
});

test('mount -s: a list without what is not known', () => {
  expect(sloppyList('ro,nosuch,fsname=a\\,b\\\\,x-foo,other=1,cache=none')).toBe(
    'ro,fsname=a\\,b\\\\,x-foo,cache=none',
  );
});

describe('values', () => {
  test.each([
    ['msize=64k', { msize: 65536 }],
    ['msize=1M', { msize: 1048576 }],
    ['msize=4096', { msize: 4096 }],
    ['rxpool=1g', { rxPool: 1073741824 }],
    ['timeout=1.5', { timeout: 1500 }],
    ['intrgrace=0', { intrGrace: 0 }],
    ['flushtimeout=3', { flushTimeout: 3000 }],
    ['access=any', { access: 'any' }],
    ['access=user', { access: 'user' }],
    ['access=1000', { access: 1000 }],
    ['cache=loose', { cache: 'loose' }],
    ['version=9p2000.L', { version: '9P2000.L' }],
    ['version=9P2000.l', { version: '9P2000.L' }],
    ['version=9p2000.u', { version: '9P2000.u' }],
    ['version=9p2000', { version: '9P2000' }],
    ['version=auto', { version: 'auto' }],
    ['uid=7,gid=8', { showUid: 7, showGid: 8 }],
    ['idmap=file,uidfile=/u,gidfile=g', { idmap: 'file', uidfile: '/u', gidfile: 'g' }],
    ['idmap=user', { idmap: 'user' }],
    ['nomap=ignore', { nomap: 'ignore' }],
    ['umask=027,fmask=7,dmask=0000', { umask: 0o27, fmask: 7, dmask: 0 }],
    ['chown=ignore', { chown: 'ignore' }],
    ['posixacl,flock=remote', { posixAcl: true, flock: 'remote' }],
    ['dfltuid=7,dfltgid=8', { dfltuid: 7, dfltgid: 8 }],
    ['aname=/export\\,with\\,commas', { aname: '/export,with,commas' }],
    ['uname=', { uname: '' }],
    ['force,allow_other,default_permissions', { force: true, allowOther: true, defaultPermissions: true }],
    ['dev,suid', { nodev: false, nosuid: false }],
    ['noexec,noatime,sync,dirsync', { noexec: true, noatime: true, sync: true, dirsync: true }],
    ['intr=fatal', { intr: 'fatal' }],
  ])('%s', (list, expected) => {
    expect(parseOptions([list]).settings).toEqual(expected);
  });

  test('what is not a setting of the mount itself', () => {
    expect(parseOptions(['port=9999,fsname=work,log=/tmp/l,loglevel=trace,nofail'])).toEqual({
      settings: {},
      port: 9999,
      fsname: 'work',
      log: '/tmp/l',
      loglevel: 'trace',
      nofail: true,
    });
  });

  test('the last of a kind wins, over several lists', () => {
    expect(parseOptions(['ro,cache=none', 'rw', 'cache=auto,cache=loose']).settings).toEqual({
      readOnly: false,
      cache: 'loose',
    });
  });

  test('user implies what mount(8) says, and later options override it', () => {
    expect(parseOptions(['user']).settings).toEqual({ nodev: true, nosuid: true, noexec: true });
    expect(parseOptions(['user,exec']).settings).toEqual({ nodev: true, nosuid: true, noexec: false });
    expect(parseOptions(['group']).settings).toEqual({ nodev: true, nosuid: true });
  });

  test('what only mount(8) or systemd understand changes nothing', () => {
    const list = [...ignored, 'x-systemd.requires=network.target', 'X-mount.mkdir', 'x-gvfs-show', 'comment=a b'];
    expect(parseOptions([list.join(',')])).toEqual({ settings: {} });
  });
});

describe('refusals name the thing and what would be right', () => {
  test.each([
    ['cahce=none', "unknown option 'cahce': did you mean cache?"],
    ['allow-other', "unknown option 'allow-other': did you mean allow_other?"],
    ['quux', "unknown option 'quux': 'ninefs mount --help' lists them"],
    ['=1', "unknown option '': 'ninefs mount --help' lists them"],
    ['cache=lose', 'option cache=lose: it takes none, auto or loose; did you mean loose?'],
    ['umask=8', 'option umask=8: it takes an octal number from 0 to 777'],
    ['fmask=1777', 'option fmask=1777: it takes an octal number from 0 to 777'],
    ['uidfile=', 'option uidfile=: it takes a file'],
    ['cache=', 'option cache=: it takes none, auto or loose'],
    ['cache', 'option cache: it needs a value: cache=none|auto|loose'],
    ['ro=1', 'option ro=1: it takes no value; write ro'],
    ['msize=4095', 'option msize=4095: it takes a number of bytes from 4096 to 67108864'],
    ['msize=1x', 'option msize=1x: it takes a number of bytes from 4096 to 67108864'],
    ['msize=-1', 'option msize=-1: it takes a number of bytes from 4096 to 67108864'],
    [
      'msize=99999999999999999999',
      'option msize=99999999999999999999: it takes a number of bytes from 4096 to 67108864',
    ],
    ['port=0', 'option port=0: it takes a number from 1 to 65535'],
    ['uid=root', 'option uid=root: it takes a number from 0 to 4294967294'],
    ['timeout=soon', 'option timeout=soon: it takes a number of seconds from 0 to 86400'],
    ['access=4294967295', 'option access=4294967295: it takes user, client, any or a uid'],
    ['version=9p3', 'option version=9p3: it takes auto, 9p2000.L, 9p2000.u or 9p2000'],
    ['loglevel=verbose', 'option loglevel=verbose: it takes silent, error, warn, info, debug or trace'],
    ['fsname=', 'option fsname=: it takes a name'],
    ['log=', 'option log=: it takes a file'],
    ['aname=a\0b', 'option aname=a\\0b: it takes text without NUL'],
  ])('%s', (list, expected) => {
    expect(refusal(list)).toBe(expected);
  });
});

test('the help names every option once', () => {
  const help = optionsHelp();
  for (const { name } of options) expect(help.match(new RegExp(`^ {2}${name}(=|\\s)`, 'gm')), name).toHaveLength(1);
  for (const name of ignored) expect(help).toContain(` ${name} `);
});

test('any list is either read or refused in one line', () => {
  const word = fc.oneof(fc.string(), fc.constantFrom(...options.map((option) => option.name)));
  const list = fc
    .array(fc.tuple(word, fc.option(fc.string())))
    .map((pairs) => pairs.map(([name, value]) => (value === null ? name : `${name}=${value}`)).join(','));
  fc.assert(
    fc.property(list, (text) => {
      try {
        parseOptions([text]);
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
      }
    }),
  );
});
