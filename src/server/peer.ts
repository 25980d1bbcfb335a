// Who is at the other end of a connection, by this machine's kernel and not by what the client says: the credentials of a
// unix socket's client (unix(7), SO_PEERCRED), the owner of a TCP connection's other socket (sockettable.ts).
// Guarantees: undefined wherever the kernel does not know, which is always so for a client on another machine.

import { ConfigError } from '../common/errors.ts';
import type { Address } from '../transport/address.ts';
import type { AcceptedSocket } from '../transport/transport.ts';
import { ownerOf, socketTables } from './sockettable.ts';
import type { Awaitable } from './tree.ts';
import { syscalls } from './trees/host/syscalls.ts';

/** Throws ConfigError where clients at that address could never be told. */
export function checkEvidence({ kind }: Address): void {
  if (process.platform !== 'linux') {
    const system = process.platform;
    throw new ConfigError(
      `telling whose a connection is needs Linux, this is ${system}: say users=trust or users=squash`,
    );
  }
  if (kind === 'unix') syscalls();
}

/** How often a table that does not show the connection is read before the client is taken for nobody. */
const READINGS = 4;

/** The client's uid. */
export function uidAt(socket: AcceptedSocket | undefined): Awaitable<number | undefined> {
  if (socket === undefined) return undefined;
  const { ends, descriptor } = socket;
  if (ends !== undefined) return ownerOfPeer(socket, ends);
  if (descriptor === undefined) return undefined;
  const uid = syscalls().peer(descriptor);
  return uid < 0 ? undefined : uid;
}

/**
 * A connection that was reset may be followed at once by somebody else's between the same two ends; while ours is connected
 * there is no other.
 */
async function ownerOfPeer(
  socket: AcceptedSocket,
  [ours, theirs]: NonNullable<AcceptedSocket['ends']>,
): Promise<number | undefined> {
  // the kernel writes the table in pieces: a row may be missing, or be there twice, while other connections come and go
  for (let reading = 0; reading < READINGS; reading++) {
    const tables = await socketTables();
    if (!socket.connected) return undefined;
    const owner = ownerOf(tables, theirs, ours);
    if (owner !== undefined) return owner;
  }
  return undefined;
}
