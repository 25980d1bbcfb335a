// Owns: other people's 9P servers that no package of Debian has, from binaries that the environment names, and diod of
// whatever version a binary is of.
// Guarantees: a variable that is not set is a reason to skip; one that names no program is an error that says so. What
// is started ends with stop() and with the test process.
// Must not: import src/. A server must not look right by our own mistakes.

import { execFile } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { inetd } from './inetd.ts';
import { answering, probeVersion, startOnPort } from './serverprocess.ts';
import { ProgramSession } from './session.ts';

export interface ForeignServer {
  readonly address: string;
  readonly aname: string;
  /** The end of what it has logged. */
  stderr(): string;
  stop(): Promise<void>;
}

export interface Foreign {
  readonly name: string;
  /** The environment variable that names its binary. */
  readonly variable: string;
  readonly versions: readonly ('9P2000.L' | '9P2000.u' | '9P2000')[];
  /** Whether it serves a directory of this machine; the others keep what they have to themselves. */
  readonly hasDirectory: boolean;
  start(binary: string, dir: string): Promise<ForeignServer>;
}

export type Binary =
  | { readonly kind: 'found'; readonly path: string }
  | { readonly kind: 'absent' | 'wrong'; readonly why: string };

/** The program that a variable names. */
export function binaryOf(variable: string, env: NodeJS.ProcessEnv = process.env): Binary {
  const path = env[variable] ?? '';
  if (path === '') return { kind: 'absent', why: `${variable} names no binary` };
  const wrong = (why: string): Binary => ({ kind: 'wrong', why: `${variable}=${path}: ${why}` });
  if (!isAbsolute(path)) return wrong('name the binary by its absolute path');
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return wrong('there is no such file');
  if (!found.isFile()) return wrong('it is no file');
  try {
    accessSync(path, constants.X_OK);
  } catch {
    return wrong('it is not executable');
  }
  return { kind: 'found', path };
}

const HELP = 10_000;

/** Both streams of a program that is asked for help; most say it on stderr and end with 1. */
function help(binary: string): Promise<string> {
  return new Promise((settle, reject) => {
    execFile(binary, ['--help'], { timeout: HELP, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== 'number') reject(new Error(`${binary} --help: ${error.message}`));
      else settle(stdout + stderr);
    });
  });
}

/**
 * The flags that differ between versions of diod. Until 1.0 it goes into the background unless it is told -f; later
 * ones never do and refuse -f, and some of them refuse to run as root unless they are told as whom all files are used.
 */
export async function diodFlags(binary: string): Promise<readonly string[]> {
  const usage = await help(binary);
  if (!/^usage: *diod/im.test(usage))
    throw new Error(`${binary} is no diod: to --help it says ${JSON.stringify(usage)}`);
  return /--foreground/.test(usage) ? ['-f'] : ['-S', '-U', 'root'];
}

async function startDiod(binary: string, dir: string): Promise<ForeignServer> {
  const flags = await diodFlags(binary);
  return startOnPort({
    name: 'diod',
    dir,
    restart: true,
    stopSignal: 'SIGTERM',
    argv: async (port) => {
      const address = `127.0.0.1:${port}`;
      return [binary, ...flags, '-n', '-l', address, '-e', dir, '-c', '/dev/null', '-L', 'stderr'];
    },
  });
}

/** u9fs keeps a log that it must be able to write; -n spares it the name of a peer that is no network connection. */
async function startU9fs(binary: string, dir: string): Promise<ForeignServer> {
  const state = await mkdtemp(join(tmpdir(), `ninefs-test-${process.pid}-u9fs-`));
  const argv = [binary, '-n', '-a', 'none', '-u', 'root', '-m', '65560', '-l', join(state, 'log'), dir];
  const server = await inetd(argv);
  const stop = async () => {
    await server.stop();
    await rm(state, { recursive: true, force: true });
  };
  try {
    await probeVersion(server.port, '9P2000');
  } catch (error) {
    await stop();
    throw new Error(`u9fs does not start: ${(error as Error).message}\n${server.log()}`);
  }
  return { address: `tcp!127.0.0.1!${server.port}`, aname: '', stderr: server.log, stop };
}

function startUfs(binary: string, dir: string): Promise<ForeignServer> {
  return startOnPort({
    name: 'go9p',
    dir,
    aname: '', // any other would be a path of the machine
    asked: '9P2000.u',
    restart: true,
    stopSignal: 'SIGTERM',
    argv: async (port) => [binary, '-addr', `127.0.0.1:${port}`, '-root', dir],
  });
}

function startP9ufs(binary: string, dir: string): Promise<ForeignServer> {
  return startOnPort({
    name: 'p9ufs',
    dir,
    aname: '',
    restart: true,
    stopSignal: 'SIGTERM',
    argv: async (port) => [binary, '-root', dir, `127.0.0.1:${port}`],
  });
}

/**
 * ramfs posts a socket of its name in its name space by 9pserve, a program of plan9port as well; both go into the
 * background. A unix socket's path is short, so its directory is one of our own.
 */
async function startRamfs(binary: string): Promise<ForeignServer> {
  const namespace = await mkdtemp(join(tmpdir(), `ninefs-test-${process.pid}-ns-`));
  const { PLAN9: plan9, PATH: path } = process.env;
  const places = [dirname(binary), ...(plan9 === undefined ? [] : [join(plan9, 'bin')]), path];
  const session = new ProgramSession([binary], { ...process.env, NAMESPACE: namespace, PATH: places.join(':') });
  const socket = join(namespace, 'ramfs');
  const stop = async () => {
    await session.stop();
    await rm(namespace, { recursive: true, force: true });
  };
  try {
    if (!(await answering(session, socket, '9P2000'))) throw new Error(`ramfs does not start:\n${session.log()}`);
  } catch (error) {
    await stop();
    throw error;
  }
  return { address: `unix!${socket}`, aname: '', stderr: () => session.log(), stop };
}

export const foreignServers: readonly Foreign[] = [
  { name: 'diod', variable: 'NINEFS_DIOD', versions: ['9P2000.L'], hasDirectory: true, start: startDiod },
  { name: 'u9fs', variable: 'NINEFS_U9FS', versions: ['9P2000'], hasDirectory: true, start: startU9fs },
  { name: 'go9p', variable: 'NINEFS_GO9P', versions: ['9P2000.u', '9P2000'], hasDirectory: true, start: startUfs },
  { name: 'ramfs', variable: 'NINEFS_RAMFS', versions: ['9P2000'], hasDirectory: false, start: startRamfs },
  { name: 'p9ufs', variable: 'NINEFS_P9UFS', versions: ['9P2000.L'], hasDirectory: true, start: startP9ufs },
];
