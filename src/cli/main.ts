// The command line: which sub-commands and flags there are, and how every outcome becomes an exit code.
// Guarantees: wrong usage is one line on stderr and exit 2, a failure one line and exit 1, a bug of ours one line and
// exit 70; a stack trace is shown to nobody who did not ask for it. A sub-command's code is loaded when it is run.

import { readFileSync } from 'node:fs';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { BEHAVIOURS } from '../server/behaviour.ts';
import type { CheckFlags } from './check.ts';
import { checkOptionsHelp } from './checkoptions.ts';
import { fromMount, HELPER, type HelperFlags, MOUNT_FUSE, mountCode } from './entry.ts';
import { LEVELS, type Level } from './logging.ts';
import type { MountFlags } from './mount.ts';
import { nearest } from './nearest.ts';
import { optionsHelp, parseNumber } from './optionlist.ts';
import { complain, describe, EXIT, reportFailure } from './report.ts';
import type { ServeFlags } from './serve.ts';
import type { TraceFlags } from './trace.ts';
import type { UmountFlags } from './umount.ts';

interface GlobalFlags {
  loglevel?: Level;
}

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  return version;
}

function parseLevel(text: string): Level {
  const level = LEVELS.find((known) => known === text);
  if (level !== undefined) return level;
  const near = nearest(text, LEVELS);
  throw new InvalidArgumentError(`It takes ${LEVELS.join(', ')}${near === undefined ? '' : `; did you mean ${near}?`}`);
}

function parseSeconds(text: string): number {
  const seconds = /^\d{1,6}(\.\d{1,3})?$/.test(text) ? Number(text) : 0;
  if (seconds > 0) return seconds;
  throw new InvalidArgumentError('It takes a number of seconds, more than 0.');
}

const DRIVERS = ['device', 'fuse-native'] as const;

function parseDriver(text: string): (typeof DRIVERS)[number] {
  const driver = DRIVERS.find((known) => known === text);
  if (driver !== undefined) return driver;
  throw new InvalidArgumentError(`It takes ${DRIVERS.join(' or ')}.`);
}

function parseMilliseconds(text: string): number {
  if (/^\d{1,5}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It takes a number of milliseconds, 99999 at the most.');
}

function parseBytes(text: string): number {
  const bytes = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (bytes > 0) return bytes;
  throw new InvalidArgumentError('It takes a number of bytes, more than 0.');
}

function parseSize(text: string): number {
  const bytes = parseNumber(text, 'bytes') ?? 0;
  if (bytes > 0) return bytes;
  throw new InvalidArgumentError('It takes a number of bytes, more than 0, with k, m or g behind it or without.');
}

function parseCount(text: string): number {
  const count = parseNumber(text, 'number') ?? 0;
  if (count > 0) return count;
  throw new InvalidArgumentError('It takes a number, more than 0.');
}

const collect = (value: string, before: string[] = []) => [...before, value];

const PATTERNS = `A pattern is words that a message must have, all of them ('Tread fid=3', 'R* of=Tread'), with * for anything;
or a /regular expression/ on its line from the name of the message on. A reply also has the fields of its request.`;

const INHERITED = `The mount's process has your umask, limits and environment; of your descriptors stdin, stdout and stderr with -f, and none
in the background, where NODE_OPTIONS and the like have no effect either.`;

const SHARES = 'No client gets more than half of what there is of a thing, see docs/security.md.';

const LIKE_OTHERS = `--fids, --append, --fsync and --wstat make it behave like other servers, to try clients on. The
first value of each is the default.
  --fids=file           a fid follows its file, whatever becomes of the name
  --fids=path           a fid is a path, looked up again at every request (go9p, and more so)
  --fids=path-io        an open fid reads and writes its file, all else goes by the path (diod 1.0, u9fs)
  --fids=path-unopened  an open fid follows its file, one that is not open is a path (diod 1.1)
  --append=offset       at the offset of the message (nfs-ganesha, u9fs, go9p)
  --append=refuse       EIO (p9ufs)
  --fsync=path          ENOENT where no file has the fid's path any more (u9fs, go9p)
  --fsync=eisdir        EISDIR for directories (nfs-ganesha)
  --wstat=all-ones      a Twstat of anything else sets all bits of the mode (plan9port's ramfs)`;

/** `finish` receives the exit code of the sub-command that ran. */
function program(argv: readonly string[], finish: (code: number) => void): Command {
  const ninefs = new Command('ninefs')
    .description('Mounts 9P exports from user space, and serves them.')
    .version(version(), '-V, --version')
    .option('--loglevel <level>', `how much is logged: ${LEVELS.join(', ')}`, parseLevel)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .configureOutput({
      // commander says "error: what" and its suggestion on a second line
      outputError: (text) => complain(text.replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' ')),
    })
    .helpCommand(false);
  const globals = () => ninefs.opts<GlobalFlags>();

  ninefs
    .command('mount')
    .description('Mount an export. Returns when the mount is live, and stays in the background.')
    .argument('<source>', 'tcp!HOST!PORT, HOST[:PORT] or unix!/PATH')
    .argument('<mountpoint>', 'a directory')
    .option('-o, --option <list>', 'options, see below', collect)
    .option(
      '-f, --foreground',
      'stay in the foreground and log to the terminal; any signal that would end it unmounts first',
    )
    .option('--log <file>', 'append the log to a file, made with mode 0640 less your umask')
    .option('--driver <name>', `${DRIVERS.join(' or ')}; what is between the kernel and ninefs`, parseDriver)
    .addHelpText('after', () => `\n${optionsHelp()}\n\n${INHERITED}`)
    .action(async (source: string, mountpoint: string, flags: MountFlags) => {
      const { mountCommand } = await import('./mount.ts');
      finish(await mountCommand(source, mountpoint, { ...flags, ...globals() }, argv));
    });

  ninefs
    .command(HELPER, { hidden: true })
    .description('Mount for mount(8), which runs it as /sbin/mount.fuse.ninefs.')
    .argument('<source>', 'as of ninefs mount')
    .argument('<mountpoint>', 'a directory')
    .option('-s, --sloppy', 'ignore options that are not known')
    .option('-f, --fake', 'check everything that can be checked without the server, and mount nothing')
    .option('-n, --nomtab', 'ignored')
    .option('-v, --verbose', 'say what was mounted')
    .option('-N, --namespace <namespace>', 'a file or a process that names the namespace of mounts')
    .option('-o, --option <list>', 'options of ninefs mount', collect)
    .option('-t, --type <type>', 'fuse.ninefs or ninefs')
    .action(async (source: string, mountpoint: string, flags: HelperFlags) => {
      const { helperCommand } = await import('./helper.ts');
      finish(await helperCommand(source, mountpoint, flags));
    });

  ninefs
    .command(MOUNT_FUSE, { hidden: true })
    .argument('<source>')
    .argument('<mountpoint>')
    .option('-o, --option <list>', '', collect)
    .action(async (source: string, mountpoint: string, { option = [] }: { option?: string[] }) => {
      const { mountFuseCommand } = await import('./helper.ts');
      finish(await mountFuseCommand(source, mountpoint, option));
    });

  ninefs
    .command('umount')
    .description('Unmount what ninefs mounted.')
    .argument('<mountpoint>', 'where it is mounted')
    .option('-l, --lazy', 'detach it now, end it when its last user leaves')
    .action(async (mountpoint: string, flags: UmountFlags) => {
      const { umountCommand } = await import('./umount.ts');
      finish(await umountCommand(mountpoint, flags));
    });

  ninefs
    .command('serve')
    .description('Serve a directory, or an empty tree in memory, over 9P.')
    .argument('<tree>', 'a directory, memory: (empty, in RAM) or faults: (misbehaves, to try clients on)')
    .option('--listen <address>', 'tcp!HOST!PORT (port 0: any free one) or unix!/PATH', 'tcp!127.0.0.1!5640')
    .option(
      '--users <who>',
      'whom clients may be: peer (by default: root and the user that serves anybody, all others themselves), ' +
        'squash=UID[:GID] (all of them that user), trust (whom they say), or a file of lines USER may-be USER,...',
    )
    .option('--readonly', 'refuse every change')
    .option('--dev', 'let clients make device nodes, which --nodev, the default, does not')
    .option('--suid', 'let clients make setuid and setgid programs, which --nosuid, the default, does not')
    .addOption(new Option('--nodev').hideHelp().conflicts('dev'))
    .addOption(new Option('--nosuid').hideHelp().conflicts('suid'))
    .option('--size <bytes>', 'what memory: may hold (default: 1g)', parseSize)
    .option('--memory <bytes>', 'for requests and replies of all clients together (default: 256m)', parseSize)
    .option('--max-connections <n>', 'at a time; by default 1000, half of the descriptors at most', parseCount)
    .option('--max-fids <n>', 'of all clients together (default: 1048576)', parseCount)
    .option('--max-files <n>', 'open at a time; by default a quarter of the descriptors', parseCount)
    .option('--dialects <list>', 'those that are spoken, of 9P2000.L,9P2000.u,9P2000; all of them by default')
    .option('--fids <kind>', `what a fid means: ${BEHAVIOURS.fids.join(', ')}; see below`)
    .option('--append <how>', `what is written to append: ${BEHAVIOURS.append.join(', ')}`)
    .option('--fsync <how>', `what a Tfsync commits: ${BEHAVIOURS.fsync.join(', ')}`)
    .option('--wstat <how>', `what a Twstat does to a mode that it leaves alone: ${BEHAVIOURS.wstat.join(', ')}`)
    .option('--log <file>', 'append the log to a file')
    .addHelpText('after', `\n${SHARES}\n\n${LIKE_OTHERS}`)
    .action(async (tree: string, flags: ServeFlags) => {
      const { serveCommand } = await import('./serve.ts');
      finish(await serveCommand(tree, { ...flags, ...globals() }));
    });

  ninefs
    .command('check')
    .description('Hold a server to the manual pages of the protocol, rule by rule.')
    .argument('[address]', 'tcp!HOST!PORT, HOST[:PORT] or unix!/PATH')
    .option('-o, --option <list>', 'options, see below', collect)
    .option('--only <pattern>', 'the rules of that name, with * for anything; several add up', collect)
    .option('--list', 'print the rules, and run none')
    .option('--readonly', 'skip the rules that write')
    .option('--timeout <seconds>', 'how long a rule may take', parseSeconds, 5)
    .option('--json', 'print one JSON document')
    .addHelpText('after', () => `\n${checkOptionsHelp()}`)
    .action(async (address: string | undefined, flags: CheckFlags) => {
      const { checkCommand } = await import('./check.ts');
      finish(await checkCommand(address, flags));
    });

  ninefs
    .command('trace')
    .description('Stand between clients and a server, and print every message of both.')
    .argument('<address>', 'the server: tcp!HOST!PORT, HOST[:PORT] or unix!/PATH')
    .option(
      '--listen <address>',
      'for clients: tcp!HOST!PORT (port 0: any free one) or unix!/PATH',
      'tcp!127.0.0.1!5641',
    )
    .option('--json', 'print a JSON object a line')
    .option('--delay <ms>', 'let every message wait so long, both ways', parseMilliseconds)
    .option('--hold <pattern>', 'keep such messages back, until SIGUSR1; several add up', collect)
    .option('--drop <pattern>', 'let such messages vanish; several add up', collect)
    .option('--cut-after <bytes>', 'lose each connection when the server has sent so many bytes', parseBytes)
    .addHelpText('after', `\n${PATTERNS}`)
    .action(async (address: string, flags: TraceFlags) => {
      const { traceCommand } = await import('./trace.ts');
      finish(await traceCommand(address, flags));
    });
  return ninefs;
}

/** Runs one command line and leaves the process with its exit code. */
export async function run(argv: readonly string[]): Promise<void> {
  let code: number = EXIT.ok;
  process.on('uncaughtException', (error) => {
    if (process.listenerCount('uncaughtException') > 1) return; // a live mount detaches itself first
    process.exit(reportFailure(describe(error), debug));
  });
  const debug = argv.some((word) => /^(--loglevel=|.*loglevel=)?(debug|trace)$/.test(word));
  let words = argv;
  try {
    const ninefs = program(argv, (finished) => {
      code = finished;
    });
    const known = ninefs.commands.map((command) => command.name());
    words = fromMount(argv, known);
    await ninefs.parseAsync([...words]);
  } catch (error) {
    if (error instanceof CommanderError) code = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    else code = reportFailure(describe(error), debug);
    if (words[2] === HELPER) code = mountCode(code);
  }
  process.exit(code); // what still waits (a socket, a user of a detached mount) has had its time
}
