// What the command says to wrong input: one line that names the thing and what would be right, exit 2 for wrong usage.
// Nothing here mounts.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ninefs } from '../../support/cli.ts';
import { withTempDir } from '../../support/tempdir.ts';

const manifest = JSON.parse(readFileSync(join(import.meta.dirname, '../../../package.json'), 'utf8')) as {
  version: string;
};

async function refused(args: string[], exit: number, says: string): Promise<void> {
  const { code, stdout, stderr } = await ninefs(args);
  expect(stderr).toContain(says);
  expect(stderr).toMatch(/^ninefs: [^\n]+\n$/);
  expect(stdout).toBe('');
  expect(code).toBe(exit);
}

describe('wrong usage is one line and exit 2', () => {
  test.each<[string[], string]>([
    [['mount', 'localhost', '/mnt', '-o', 'cahce=none'], "unknown option 'cahce': did you mean cache?"],
    [['mount', 'localhost', '/mnt', '-o', 'cache=fast'], 'option cache=fast: it takes none, auto or loose'],
    [
      ['mount', 'localhost', '/mnt', '-o', 'ro', '-o', 'msize=12'],
      'option msize=12: it takes a number of bytes from 4096',
    ],
    [['mount', 'localhost', '/mnt', '-o', 'version=9p1'], 'option version=9p1: it takes auto, 9p2000.L, 9p2000.u or'],
    [['mount', 'localhost', '/mnt', '-o', 'loglevel=loud'], 'option loglevel=loud: it takes silent, error,'],
    [['mount', 'tcp!localhost!port', '/mnt'], "address 'tcp!localhost!port': 'port' is not a port"],
    [['mount', 'udp!localhost', '/mnt'], "address 'udp!localhost': unknown network 'udp'"],
    [['mount', '/', 'tcp!localhost!564'], "address '/': it is a directory, and the server comes first"],
    [['mount', '', '/mnt'], "address '': no host"],
    [
      ['mount', 'tcp!localhost!564', '/mnt', '-o', 'port=565'],
      "option port=565: the source 'tcp!localhost!564' names port 564",
    ],
    [['mount', 'unix!/run/x', '/mnt', '-o', 'port=565'], "option port=565: the source 'unix!/run/x' is a unix socket"],
    [['mount', 'localhost', ''], 'the mountpoint is empty: name a directory'],
    [['mount', 'localhost'], "missing required argument 'mountpoint'"],
    [['mount'], "missing required argument 'source'"],
    [['mount', 'localhost', '/mnt', '/more'], 'too many arguments'],
    [['mount', 'localhost', '/mnt', '-q'], "unknown option '-q'"],
    [['mount', 'localhost', '/mnt', '-o'], 'argument missing'],
    [['umount', '/mnt', '--lasy'], "unknown option '--lasy' (Did you mean --lazy?)"],
    [['umount'], "missing required argument 'mountpoint'"],
    [['umount', ''], 'the mountpoint is empty'],
    [['serve'], "missing required argument 'tree'"],
    [['serve', 'memory:', '--listen', 'tcp!h!70000'], "address 'tcp!h!70000': '70000' is not a port (0 to 65535)"],
    [['serve', 'memory:extra'], "'memory:extra': nothing follows memory:"],
    [
      ['serve', 'memory:', '--listen', 'tcp!192.0.2.1!0'],
      'other machines reach tcp!192.0.2.1!0, and who their users are',
    ],
    [
      ['serve', 'memory:', '--users', 'per'],
      '--users=per: it takes peer, trust, squash=UID[:GID] or a file; did you mean peer?',
    ],
    [['serve', 'memory:', '--users', 'squash'], '--users=squash: it takes squash=UID[:GID]'],
    [['serve', 'memory:', '--users', 'squash=1:'], '--users=squash=1:: it takes squash=UID[:GID]'],
    [
      ['serve', 'memory:', '--users', 'squash=no-such-user'],
      'it takes squash=UID[:GID], of a user and a group of this',
    ],
    [
      ['serve', 'memory:', '--users', '/nowhere/at/all'],
      '--users takes peer, trust, squash=UID[:GID] or a file: /nowhere/at/all cannot',
    ],
    [['serve', 'memory:', '--size', '0'], 'It takes a number of bytes, more than 0, with k, m or g behind it'],
    [['serve', '/', '--size', '1g'], '--size: / is not memory:, which is what has a size'],
    [['serve', 'memory:', '--memory', '1k'], 'memory of 1024 bytes: with messages of'],
    [['serve', 'memory:', '--max-connections', 'x'], 'It takes a number, more than 0.'],
    [['serve', 'memory:', '--max-connections', '100000000'], '100000000 connections: this process may have'],
    [['serve', 'memory:', '--dev'], '--dev: memory: is not a directory; serve a directory'],
    [['serve', '/', '--dev', '--nodev'], "option '--nodev' cannot be used with option '--dev'"],
    [['serve', 'memory:', '--loglevel', 'tracy'], 'did you mean trace?'],
    [['check'], "missing required argument 'address'"],
    [['check', 'h', '--only', 'flsh-own'], '--only flsh-own: no rule has that name; did you mean flush-own?'],
    [['check', 'h', '--timeout', '0'], 'It takes a number of seconds, more than 0.'],
    [['check', 'h', '-o', 'anam=x'], "unknown option 'anam': did you mean aname?"],
    [['check', 'h', '-o', 'msize=1'], 'option msize=1: it takes a number of bytes from 4096'],
    [['check', 'h', '-o', 'hang=/'], 'option hang=/: it takes the path of a file'],
    [['check', 'tcp!h!port'], "'port' is not a port"],
    [['trace'], "missing required argument 'address'"],
    [['trace', 'h', '--listen', 'tcp!h!port'], "'port' is not a port"],
    [['trace', 'h', '--delay', '-1'], 'It takes a number of milliseconds'],
    [['trace', 'h', '--cut-after', '0'], 'It takes a number of bytes, more than 0.'],
    [['trace', 'h', '--hold', '/(/'], 'pattern /(/: '],
    [['trace', 'h', '--drop', ''], 'an empty pattern'],
    [['trace', 'h', '--listen', 'h:564'], "that is the server's own address"],
    [['serv', 'memory:'], "unknown command 'serv' (Did you mean serve?)"],
    [['--quux'], "unknown option '--quux'"],
  ])('ninefs %j', (args, says) => refused(args, 2, says));
});

describe('right usage that fails here is one line and exit 1', () => {
  test.each<[string[], string]>([
    [['umount', '/'], 'what is mounted on / is not ours'],
    [['umount', '/nowhere/at/all'], 'nothing is mounted on /nowhere/at/all'],
    [
      ['serve', '/nowhere/at/all'],
      'cannot serve /nowhere/at/all: no such directory; name a directory, or memory: or faults:',
    ],
    [['serve', '/etc/passwd'], 'cannot serve /etc/passwd: not a directory; name a directory, or memory: or faults:'],
    [['serve', 'memory:', '--log', '/nowhere/at/all'], 'log file /nowhere/at/all: cannot be written'],
    [
      ['serve', 'memory:', '--listen', 'unix!/etc/passwd'],
      'cannot listen on /etc/passwd: it exists and is not a socket',
    ],
    [['serve', 'memory:', '--listen', 'unix!/nowhere/at/all'], 'cannot listen on unix!/nowhere/at/all'],
    [['serve', 'memory:', '--listen', 'tcp!192.0.2.1!0', '--users', 'trust'], 'cannot listen on tcp!192.0.2.1!0'],
  ])('ninefs %j', (args, says) => refused(args, 1, says));
});

describe('help', () => {
  test('--version', async () => {
    expect(await ninefs(['--version'])).toMatchObject({ code: 0, stdout: `${manifest.version}\n`, stderr: '' });
  });

  test('--help names the sub-commands', async () => {
    const { code, stdout } = await ninefs(['--help']);
    expect(code).toBe(0);
    for (const name of ['mount', 'umount', 'serve', '--loglevel', '--version']) expect(stdout).toContain(name);
  });

  test('mount --help lists the -o options and the global ones', async () => {
    const { code, stdout } = await ninefs(['mount', '--help']);
    expect(code).toBe(0);
    for (const text of ['msize=BYTES', 'cache=none|auto|loose', '_netdev', '--loglevel'])
      expect(stdout).toContain(text);
  });

  test('and every flag in it is in the README, by its long name or its short one', async () => {
    const readme = readFileSync(join(import.meta.dirname, '../../../README.md'), 'utf8');
    for (const command of [[], ['mount'], ['umount'], ['serve'], ['check'], ['trace']]) {
      const { stdout } = await ninefs([...command, '--help']);
      const flags = [...stdout.matchAll(/^ {2}(?:(-\w), )?(--[a-z-]+)/gm)];
      expect(flags.length, command[0]).toBeGreaterThan(2);
      const missing = flags.filter(
        ([, short, long]) => !new RegExp(`(?<![\\w-])(?:${[short ?? long, long].join('|')})(?![\\w-])`).test(readme),
      );
      expect(
        missing.map(([, , long]) => long),
        command[0],
      ).toEqual([]);
    }
  });

  test('no sub-command at all is wrong usage, and shows the help', async () => {
    const { code, stderr } = await ninefs([]);
    expect(code).toBe(2);
    expect(stderr).toContain('Usage: ninefs');
  });
});

test('a file name cannot forge a second line', async () => {
  await withTempDir(async (dir) => {
    const { code, stderr } = await ninefs(['serve', join(dir, 'a\nninefs: all is well')]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^ninefs: [^\n]+\n$/);
  });
});
