// Owns: a 9P server of other people as a process of the tests: a port or a socket for it, its start, its log, its end.
// Guarantees: started means that a Tversion was answered; a server ends when it is stopped or when the test process
// does, however that ends; several may run at once; one that dies by itself may be started again, and the restarts are
// counted.
// Must not: import src/. A server must not look right by our own mistakes.

import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import { createServer, type Socket, connect as tcpConnect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { listensOn } from './listening.ts';

export interface TestServer {
  readonly name: string;
  /** tcp!127.0.0.1!PORT */
  readonly address: string;
  readonly host: string;
  readonly port: number;
  readonly aname: string;
  /** The directory that is served, as this machine sees it. */
  readonly dir: string;
  /** How often it died by itself and was started again. */
  readonly restarts: number;
  /** The end of what it has logged. */
  stderr(): string;
  stop(): Promise<void>;
}

export interface Version {
  msize: number;
  version: string;
}

const START_DEADLINE = 60_000;
const STOP_DEADLINE = 10_000;
const MOST_RESTARTS = 50;
const LOG_KEPT = 64 * 1024;

/** A port of the loopback, or the path of a unix socket. */
export type Endpoint = number | string;

/** One Tversion and its answer on a connection of its own. */
export async function probeVersion(at: Endpoint, asked = '9P2000.L', timeout = 20_000): Promise<Version> {
  const where = typeof at === 'number' ? `port ${at}` : at;
  const socket = tcpConnect(typeof at === 'number' ? { host: '127.0.0.1', port: at } : { path: at });
  socket.setTimeout(timeout, () => socket.destroy(new Error(`no Rversion from ${where} within ${timeout} ms`)));
  try {
    const name = Buffer.from(asked);
    const request = Buffer.alloc(13 + name.length);
    request.writeUInt32LE(request.length, 0);
    request.writeUInt8(100, 4); // Tversion
    request.writeUInt16LE(0xffff, 5); // NOTAG
    request.writeUInt32LE(65536, 7);
    request.writeUInt16LE(name.length, 11);
    name.copy(request, 13);
    socket.write(request);
    const reply = await readFrame(socket);
    if (reply.readUInt8(4) !== 101) throw new Error(`${where} answered Tversion with type ${reply.readUInt8(4)}`);
    return { msize: reply.readUInt32LE(7), version: reply.toString('utf8', 13, 13 + reply.readUInt16LE(11)) };
  } finally {
    socket.destroy();
  }
}

async function readFrame(socket: Socket): Promise<Buffer> {
  let got = Buffer.alloc(0);
  for await (const chunk of socket) {
    got = Buffer.concat([got, chunk as Buffer]);
    if (got.length < 4) continue;
    const size = got.readUInt32LE(0);
    if (size < 13 || size > 8192) throw new Error(`not a 9P server: a first message of ${size} bytes`);
    if (got.length >= size) return got.subarray(0, size);
  }
  throw new Error('the connection was closed before an answer came');
}

/**
 * A port that was free a moment ago, below those that the kernel hands out: it could give one of them to a connection
 * of any test at any time, also while a server that has died is started again. Whoever else takes this one meanwhile
 * makes the start fail, which tries another.
 */
async function freePort(): Promise<number> {
  const [first = '32768'] = (await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'latin1')).split(/\s/);
  const least = Math.min(10_000, Number(first) - 1);
  for (let attempt = 0; attempt < 1000; attempt++) {
    const port = randomInt(least, Number(first));
    const server = createServer().listen(port, '0.0.0.0');
    const bound = await once(server, 'listening').then(
      () => true,
      () => false, // in use
    );
    if (!bound) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
  throw new Error('no port to be had');
}

/** A foreground server process, kept running until it is told to stop. */
class Supervised {
  restarts = 0;
  readonly #argv: readonly string[];
  readonly #restart: boolean;
  #log = '';
  #child: ChildProcess;
  #state: 'running' | 'stopping' | 'ended' = 'running';

  constructor(argv: readonly string[], restart: boolean) {
    this.#argv = argv;
    this.#restart = restart;
    this.#child = this.#spawn();
  }

  #spawn(): ChildProcess {
    // The parent-death signal also covers a test process that is killed and runs no handler.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...this.#argv], {
      cwd: '/',
      env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#log = (this.#log + text).slice(-LOG_KEPT);
      });
    }
    child.once('error', (error) => {
      this.#log += `${error.message}\n`;
      this.#state = 'ended';
    });
    child.once('exit', (code, signal) => {
      this.#log += `-- ${this.#argv[0]} ended: ${signal ?? `exit status ${code}`}\n`;
      if (this.#state === 'running' && this.#restart && this.restarts < MOST_RESTARTS) {
        this.restarts += 1;
        this.#child = this.#spawn();
        return;
      }
      this.#state = 'ended';
    });
    return child;
  }

  get ended(): boolean {
    return this.#state === 'ended';
  }

  /** Whether it is the one that listens there. */
  async listensOn(port: number): Promise<boolean> {
    const { pid } = this.#child;
    return pid !== undefined && (await listensOn(pid, port));
  }

  log(): string {
    return this.#log;
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    if (this.#state !== 'running') return;
    this.#state = 'stopping';
    const child = this.#child;
    const gone = once(child, 'exit');
    child.kill(signal);
    const clock = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE);
    await gone;
    clearTimeout(clock);
  }
}

/** A process that is waited for. */
export interface Started {
  readonly ended: boolean;
  log(): string;
}

/** Until a Tversion is answered; false when the process ended first. */
export async function answering(process: Started, at: Endpoint, asked?: string): Promise<boolean> {
  const deadline = Date.now() + START_DEADLINE;
  for (;;) {
    if (process.ended) return false;
    try {
      await probeVersion(at, asked, 2000);
      return true;
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`no 9P server at ${at}: ${error}\n${process.log()}`);
      // Another program's socket begins to listen without any event for us.
      await sleep(25);
    }
  }
}

export interface Plan {
  name: string;
  /** The directory that is served. */
  dir: string;
  /** The aname that stands for it; the directory's path if not given. */
  aname?: string;
  /** A version that it answers; 9P2000.L if not given. */
  asked?: string;
  restart: boolean;
  stopSignal: NodeJS.Signals;
  argv(port: number): Promise<readonly string[]>;
  cleanUp?(): Promise<void>;
}

/** Starts a server that is told its port on its command line. */
export async function startOnPort(plan: Plan): Promise<TestServer> {
  const { name, dir, aname = dir, asked, restart, stopSignal, argv, cleanUp } = plan;
  // Servers start without a word when there is nothing to serve, and refuse only the attach.
  if (!(await stat(dir)).isDirectory()) throw new Error(`${dir} is not a directory`);
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const server = new Supervised(await argv(port), restart);
    const stop = async () => {
      await server.stop(stopSignal);
      await cleanUp?.();
    };
    let ready = false;
    try {
      ready = await answering(server, port, asked);
      // another program may have taken the port meanwhile, and speak 9P
      ready &&= await server.listensOn(port);
      if (!ready && attempt === 3) throw new Error(`${name} does not start:\n${server.log()}`);
    } finally {
      if (!ready) await stop();
    }
    if (!ready) continue;
    return {
      name,
      address: `tcp!127.0.0.1!${port}`,
      host: '127.0.0.1',
      port,
      aname,
      dir,
      get restarts() {
        return server.restarts;
      },
      stderr: () => server.log(),
      stop,
    };
  }
}
