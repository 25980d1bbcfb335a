// A mount of a server that says what it likes: `ninefs mount` as a process of its own, and at the other end of its connection
// a server of made-up files (files9p.ts), whose answers are the test's. For tests of what such answers do to the daemon, to
// whoever reads from it, and to whoever ends them.

import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MountStats } from '../../src/bridge/mount.ts';
import { formatAddress } from '../../src/transport/address.ts';
import { listenSocket } from '../../src/transport/socket.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { DEFAULT_MSIZE } from '../../src/wire/p9/constants.ts';
import type { Message } from '../../src/wire/p9/messages.ts';
import { type Cli, start } from './cli.ts';
import { Files9p } from './files9p.ts';
import { fusectl } from './fusectl.ts';
import { Scripted } from './scripted.ts';
import { shell } from './shell.ts';
import { withTempDir } from './tempdir.ts';
import { until } from './until.ts';

type Of<N extends Message['type']> = Extract<Message, { type: N }>;
/** By type; what returns anything but true is answered as usual. */
export type Rules = { [N in Message['type']]?: (message: Of<N>, server: Scripted) => unknown };

export interface HostileMount {
  readonly mountpoint: string;
  readonly daemon: Cli;
  readonly files: Files9p;
  /** How the server answers from now on. */
  answer(rules: Rules): void;
  /** What has come of a type, in its order. */
  got<N extends Message['type']>(type: N): Of<N>[];
  stats(): Promise<MountStats>;
  /** Bytes that the daemon has resident now. */
  memory(): Promise<number>;
}

export interface HostileOptions {
  rules?: Rules;
  msize?: number;
  /** Of `ninefs mount`. */
  options?: string;
}

export function hostileMount(
  { rules = {}, msize = DEFAULT_MSIZE, options = 'cache=none' }: HostileOptions,
  body: (mount: HostileMount) => Promise<void>,
): Promise<void> {
  return withTempDir(async (dir) => {
    const mountpoint = join(dir, 'mnt');
    await mkdir(mountpoint);
    await fusectl();
    const transports = new Set<Transport>();
    let files: Files9p | undefined;
    let now = rules;
    const listener = await listenSocket({ kind: 'tcp', host: '127.0.0.1', port: 0 }, (transport) => {
      transports.add(transport);
      const server = new Scripted(transport, msize);
      files = new Files9p(server);
      files.before = (message) => {
        const rule = now[message.type] as ((message: Message, server: Scripted) => unknown) | undefined;
        return rule?.(message, server) === true;
      };
    });
    const daemon = start([
      'mount',
      '-f',
      formatAddress(listener.address),
      mountpoint,
      '-o',
      `${options},msize=${msize}`,
    ]);
    try {
      await daemon.output(/^mounted /m);
      const { pid } = daemon.process;
      const at = files as Files9p | undefined;
      if (at === undefined || pid === undefined) throw new Error('mounted without a connection');
      const told = () => daemon.stderr.split('\n').filter((line) => line.endsWith('"msg":"statistics"}'));
      await body({
        mountpoint,
        daemon,
        files: at,
        answer: (rules) => {
          now = rules;
        },
        got: (type) => at.received.filter((message) => message.type === type) as never,
        async stats() {
          const before = told().length;
          daemon.process.kill('SIGUSR2');
          await until('the mount to tell its statistics', () => told().length > before);
          return JSON.parse(told().at(-1) ?? '') as MountStats;
        },
        async memory() {
          const status = await readFile(`/proc/${pid}/status`, 'latin1');
          return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
        },
      });
    } finally {
      await daemon.kill();
      await shell(`umount -l '${mountpoint}'`); // fails when nothing is mounted there any more
      for (const transport of transports) transport.close();
      await listener.close();
    }
  });
}
