// Debian's 9P servers for the interop tests: diod and nfs-ganesha, each on a loopback port of its own, serving a
// directory of this machine. Guarantees: started means that a Tversion was answered; a server ends when it is stopped
// or when the test process does, however that ends; several may run at once. diod is restarted when it dies (it aborts
// on some input) and the restarts are counted. Must not import src/: a server must not look right by our own mistakes.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomInt, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Socket, connect as tcpConnect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

/** Which of these programs is not installed; null when all are. */
export function missingPrograms(...programs: string[]): string | null {
  for (const program of programs) {
    try {
      execFileSync('/bin/sh', ['-c', 'command -v -- "$1"', 'sh', program], {
        stdio: 'ignore',
        env: { PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
      });
    } catch {
      return program;
    }
  }
  return null;
}

/** One Tversion and its answer on a connection of its own. */
export async function probeVersion(port: number, asked = '9P2000.L', timeout = 20_000): Promise<Version> {
  const socket = tcpConnect({ host: '127.0.0.1', port });
  socket.setTimeout(timeout, () => socket.destroy(new Error(`no Rversion from port ${port} within ${timeout} ms`)));
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
    if (reply.readUInt8(4) !== 101) throw new Error(`port ${port} answered Tversion with type ${reply.readUInt8(4)}`);
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
 * A port that was free a moment ago, below those that the kernel hands out: it could give one of them to a connection of any
 * test at any time, also while a server that has died is started again. Whoever else takes this one meanwhile makes the
 * start fail, which tries another.
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

/** Until it answers a Tversion, and not another process that has its port; false when it ended first. */
async function answering(process: Supervised, port: number): Promise<boolean> {
  const deadline = Date.now() + START_DEADLINE;
  for (;;) {
    if (process.ended) return false;
    try {
      await probeVersion(port, undefined, 2000);
      if (await process.listensOn(port)) return true;
      throw new Error('another process answers there');
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`no 9P server at port ${port}: ${error}\n${process.log()}`);
      // Another program's socket begins to listen without any event for us.
      await sleep(25);
    }
  }
}

interface Plan {
  name: string;
  dir: string;
  restart: boolean;
  stopSignal: NodeJS.Signals;
  argv(port: number): Promise<readonly string[]>;
  cleanUp?(): Promise<void>;
}

async function start({ name, dir, restart, stopSignal, argv, cleanUp }: Plan): Promise<TestServer> {
  // Both start without a word when there is nothing to serve, and refuse only the attach.
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
      ready = await answering(server, port);
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
      aname: dir,
      dir,
      get restarts() {
        return server.restarts;
      },
      stderr: () => server.log(),
      stop,
    };
  }
}

/** diod: msize is capped at 65536, Tunlinkat and Trenameat are answered with EOPNOTSUPP. */
export function startDiod(dir: string): Promise<TestServer> {
  return start({
    name: 'diod',
    dir,
    restart: true,
    stopSignal: 'SIGTERM',
    argv: async (port) => ['diod', '-f', '-n', '-l', `127.0.0.1:${port}`, '-e', dir, '-c', '/dev/null', '-L', 'stderr'],
  });
}

/**
 * nfs-ganesha with its VFS back end. It always listens on all addresses (its 9P socket ignores Bind_addr), so the
 * directory should hold nothing but the test's own files. It caches attributes and directory contents for a minute:
 * changes made in the directory behind its back are seen late unless attrExpiration is 0. With `restart` it is started
 * again when it dies, as diod is.
 */
export async function startGanesha(
  dir: string,
  options: { attrExpiration?: number; restart?: boolean } = {},
): Promise<TestServer> {
  if (/["\n]/.test(dir)) throw new Error(`nfs-ganesha's configuration cannot name ${dir}`);
  // What it keeps for itself: its configuration, the pid file, and the recovery directories of the NFS clients that
  // it will never have, which two instances must not share.
  const state = join(tmpdir(), `ninefs-test-${process.pid}-ganesha-${randomUUID()}`);
  const config = join(state, 'ganesha.conf');
  const expiration = options.attrExpiration === undefined ? '' : `Attr_Expiration_Time = ${options.attrExpiration}; `;
  return start({
    name: 'ganesha',
    dir,
    restart: options.restart ?? false,
    // Its own way down takes four seconds, which it spends on the NFS that it does not serve.
    stopSignal: 'SIGKILL',
    argv: async (port) => {
      const text = [
        'NFS_CORE_PARAM { Protocols = 9P; }',
        `NFSv4 { Graceless = true; RecoveryRoot = "${state}"; }`,
        `_9P { _9P_TCP_Port = ${port}; }`,
        `EXPORT { Export_Id = 1; Path = "${dir}"; Pseudo = /e; Tag = e; Access_Type = RW; Squash = None; ` +
          `Protocols = 9P; ${expiration}FSAL { Name = VFS; } }`,
      ];
      await mkdir(state, { recursive: true });
      await writeFile(config, `${text.join('\n')}\n`);
      return ['ganesha.nfsd', '-F', '-f', config, '-L', 'STDERR', '-p', join(state, 'pid')];
    },
    cleanUp: () => rm(state, { recursive: true, force: true }),
  });
}
