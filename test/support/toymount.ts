// Starts toy-child.ts on a fresh temporary directory, talks to it, and takes everything away again.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chown } from 'node:fs/promises';
import { join } from 'node:path';
import type { SessionEnd } from '../../src/fuse/session.ts';
import { makeTempDir, removeTempDir } from './tempdir.ts';
import type { ToyCommand, ToyReport, ToySetup } from './toy-child.ts';

const here = import.meta.dirname;
/** Nobody, who has no rights of his own. */
export const NOBODY = 65534;

/** Why mounts cannot be tested here, or undefined. */
export function whyNoMounts(): string | undefined {
  if (!existsSync('/dev/fuse')) return 'no /dev/fuse';
  if (process.geteuid?.() !== 0) return 'not root';
  return undefined;
}

export interface ToyReady {
  minor: number;
  flags: string[];
  maxWrite: number;
  maxReadahead: number;
  connection: number;
}

export interface ToyEnd {
  how: SessionEnd['how'];
  error?: string;
  report: ToyReport;
}

export interface ToyMount extends AsyncDisposable {
  readonly mountpoint: string;
  readonly ready: ToyReady;
  readonly child: ChildProcess;
  /** How the child says that its session ended. */
  readonly done: Promise<ToyEnd>;
  ask<T = unknown>(command: ToyCommand): Promise<T>;
  report(): Promise<ToyReport>;
}

interface Message {
  ready?: ToyReady;
  failed?: string;
  done?: ToyEnd;
  id?: number;
  result?: unknown;
  error?: string;
}

export type ToyMountOptions = Partial<Omit<ToySetup, 'mount'>> & {
  mount?: Partial<ToySetup['mount']>;
  /** Run the daemon as this user. */
  uid?: number;
  /** Instead of a new directory, which is then the caller's to remove. */
  mountpoint?: string;
};

/** Rejects with what the child says when it cannot mount. */
export async function toyMount({ uid, mountpoint, mount, ...setup }: ToyMountOptions = {}): Promise<ToyMount> {
  const at = mountpoint ?? (await makeTempDir('toy'));
  if (uid !== undefined && mountpoint === undefined) await chown(at, uid, uid);
  const options: ToySetup = { ...setup, mount: { source: 'toy', ...mount, mountpoint: at } };
  const child = spawn(
    process.execPath,
    ['--import', join(here, 'ts.mjs'), join(here, 'toy-child.ts'), JSON.stringify(options)],
    { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], ...(uid === undefined ? {} : { uid, gid: uid }) },
  );
  const remove = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
    if (mountpoint === undefined) await removeTempDir(at);
  };

  const waiting = new Map<number, (message: Message) => void>();
  let next = 1;
  let finish: (end: ToyEnd) => void = () => {};
  const done = new Promise<ToyEnd>((resolve) => {
    finish = resolve;
  });
  const ready = await new Promise<ToyReady>((resolve, reject) => {
    child.on('message', (message: Message) => {
      if (message.ready !== undefined) resolve(message.ready);
      if (message.failed !== undefined) reject(new Error(message.failed));
      if (message.done !== undefined) finish(message.done);
      if (message.id !== undefined) waiting.get(message.id)?.(message);
    });
    child.on('exit', (code, signal) => {
      reject(new Error(`the toy ended: ${code ?? signal}`));
      for (const answer of waiting.values()) answer({ error: 'the toy ended' });
    });
  }).catch(async (error: unknown) => {
    await remove();
    throw error;
  });

  const ask = <T>(command: ToyCommand): Promise<T> =>
    new Promise((resolve, reject) => {
      const id = next++;
      waiting.set(id, ({ result, error }) => {
        waiting.delete(id);
        if (error === undefined) resolve(result as T);
        else reject(new Error(error));
      });
      child.send({ id, command });
    });
  return {
    mountpoint: at,
    ready,
    child,
    done,
    ask,
    report: () => ask<ToyReport>('report'),
    [Symbol.asyncDispose]: remove,
  };
}

/** Asks until it is so; the test's own time limit is the bound. */
export async function until<T>(ask: () => Promise<T>, isSo: (value: T) => boolean): Promise<T> {
  for (;;) {
    const value = await ask();
    if (isSo(value)) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
