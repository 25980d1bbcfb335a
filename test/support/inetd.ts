// Owns: a TCP port at which every connection gets a process of its own that serves it on stdin and stdout, as inetd(8)
// does: u9fs serves so. The bytes go through this process, since Node's sockets do not block and such servers expect
// ones that do.
// Guarantees: a process ends with its connection, with stop(), and with the test process, however that ends.
// Must not: import src/.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';

const LOG_KEPT = 64 * 1024;
/** How long a process may take to notice that its connection is over. */
const NOTICE = 5000;

export interface Inetd {
  readonly port: number;
  /** Processes that run now. */
  readonly running: number;
  /** The end of what the processes said on stderr. */
  log(): string;
  stop(): Promise<void>;
}

export async function inetd(argv: readonly string[]): Promise<Inetd> {
  const open = new Map<ChildProcess, Socket>();
  let log = '';
  const say = (text: string) => {
    log = (log + text).slice(-LOG_KEPT);
  };

  const server = createServer((socket) => {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...argv], { cwd: '/', stdio: ['pipe', 'pipe', 'pipe'] });
    open.set(child, socket);
    socket.setNoDelay(true);
    child.stderr.setEncoding('utf8').on('data', say);
    // either side may go first; what the other one still sends is for nobody
    for (const stream of [socket, child.stdin, child.stdout]) stream.on('error', () => socket.destroy());
    socket.pipe(child.stdin);
    child.stdout.pipe(socket);
    child.once('error', (error) => {
      say(`${error.message}\n`);
      open.delete(child);
      socket.destroy();
    });
    child.once('close', (code, signal) => {
      if (code !== 0) say(`-- ${argv[0]} ended: ${signal ?? `exit status ${code}`}\n`);
      open.delete(child);
      socket.destroy();
    });
    socket.once('close', () => {
      child.stdin.end();
      const clock = setTimeout(() => child.kill('SIGKILL'), NOTICE);
      child.once('close', () => clearTimeout(clock));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('no port');

  return {
    port: bound.port,
    get running() {
      return open.size;
    },
    log: () => log,
    async stop() {
      server.close();
      const ends = [...open].map(async ([child, socket]) => {
        const closed = once(child, 'close');
        socket.destroy();
        child.kill('SIGKILL');
        await closed;
      });
      await Promise.all(ends);
    },
  };
}
