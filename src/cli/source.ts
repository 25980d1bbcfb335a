// The server as it is named on the command line: an address, with port= of -o in it.

import { statSync } from 'node:fs';
import { ConfigError } from '../common/errors.ts';
import { type Address, parseAddress } from '../transport/address.ts';
import { DEFAULT_PORT } from '../wire/p9/constants.ts';

/** The address that a source and port= name. Throws ConfigError. */
export function addressOf(source: string, port: number | undefined): Address {
  const address = parseAddress(source, port ?? DEFAULT_PORT);
  // most likely the mountpoint, named first
  if (address.kind === 'unix' && isDirectory(address.path)) {
    throw new ConfigError(
      `address '${source}': it is a directory, and the server comes first: tcp!HOST!PORT, HOST[:PORT] or unix!/PATH`,
    );
  }
  if (port === undefined || (address.kind === 'tcp' && address.port === port)) return address;
  throw new ConfigError(
    address.kind === 'tcp'
      ? `option port=${port}: the source '${source}' names port ${address.port}; leave one of them out`
      : `option port=${port}: the source '${source}' is a unix socket, which has no port`,
  );
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false; // whoever connects to it says what is wrong with it
  }
}
