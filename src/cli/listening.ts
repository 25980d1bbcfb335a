// What the sub-commands that listen have in common: the socket file that an earlier one left behind, the warning about an
// address that others reach, and the signal that ends them.
// Guarantees: a socket file that somebody listens on, or that is no socket, is never removed.

import { lstatSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { ConfigError } from '../common/errors.ts';
import { type Address, formatAddress } from '../transport/address.ts';
import { complain, EXIT } from './report.ts';

/** A socket file's listener accepts or refuses at once; one that does neither is alive. */
const PROBE_DEADLINE = 2_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Whether somebody accepts connections on a socket file. */
function isAlive(path: string): Promise<boolean> {
  return new Promise((settle) => {
    const socket = connect({ path });
    const done = (alive: boolean) => {
      socket.destroy();
      settle(alive);
    };
    socket.setTimeout(PROBE_DEADLINE, () => done(true));
    socket.once('connect', () => done(true));
    // refused: a file without a listener (unix(7)); anything else says nothing about it, so it is left alone
    socket.once('error', (error: NodeJS.ErrnoException) => done(error.code !== 'ECONNREFUSED'));
  });
}

/** Removes the socket file that an earlier server left behind. */
export async function clearSocket(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new ConfigError(`cannot listen on ${path}: it exists and is not a socket; name a new path`, EXIT.failure);
  }
  if (await isAlive(path)) {
    throw new ConfigError(`cannot listen on ${path}: another server listens there`, EXIT.failure);
  }
  unlinkSync(path);
}

const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1|localhost)$/;

/** Whether only this machine's processes can connect. */
export function isLoopback(address: Address): boolean {
  return address.kind === 'unix' || LOOPBACK.test(address.host);
}

/** `may`: what whoever reaches the address is able to do. */
export function warnWhenOpen(address: Address, may: string): void {
  if (isLoopback(address)) return;
  complain(`warning: whoever reaches ${formatAddress(address)} ${may}: 9P has no passwords here`);
}

/** The first signal that ends a process. */
export function untilSignal(): Promise<NodeJS.Signals> {
  return new Promise((settle) => {
    for (const signal of SIGNALS) {
      process.on(signal, () => {
        settle(signal);
        for (const again of SIGNALS) process.removeAllListeners(again); // the next one ends the process at once
      });
    }
  });
}
