// Addresses as people write them, parsed and printed: tcp!host!port, unix!/path, host, host:port, [v6]:port, /path.
// Pure; a text that does not parse throws ConfigError with the forms that would.

import { isIPv6 } from 'node:net';
import { ConfigError } from '../common/errors.ts';
import { DEFAULT_PORT } from '../wire/p9/constants.ts';

export type Address = { kind: 'tcp'; host: string; port: number } | { kind: 'unix'; path: string };

const FORMS = 'write tcp!HOST!PORT, HOST[:PORT] or unix!/PATH';
/** sizeof(sockaddr_un.sun_path) less the final NUL (unix(7)). */
const MAX_UNIX_PATH = 107;

function bad(text: string, why: string): never {
  throw new ConfigError(`address '${text}': ${why}; ${FORMS}`);
}

function port(text: string, digits: string): number {
  const number = Number(digits);
  if (!/^\d+$/.test(digits) || number > 65535) bad(text, `'${digits}' is not a port (0 to 65535)`);
  return number;
}

function tcp(text: string, host: string, digits: string | undefined, defaultPort: number): Address {
  if (host === '') bad(text, 'no host');
  // what only an IPv6 address may hold, then what no name may: separators of ours, white space, control characters
  const valid = host.includes(':') ? isIPv6(host) : !/[\s/![\]\p{Cc}]/u.test(host);
  if (!valid) bad(text, `'${host}' is not a host`);
  return { kind: 'tcp', host, port: digits === undefined ? defaultPort : port(text, digits) };
}

/** Parses an address; `defaultPort` stands in for a port that is left out. */
export function parseAddress(text: string, defaultPort: number = DEFAULT_PORT): Address {
  const dialled = /^(\w+)!(.*)$/s.exec(text);
  if (dialled !== null) {
    const [, network, rest = ''] = dialled;
    if (network === 'unix') {
      if (!rest.startsWith('/')) bad(text, 'the path must be absolute');
      return unix(text, rest);
    }
    if (network !== 'tcp') bad(text, `unknown network '${network}'`);
    const parts = rest.split('!');
    if (parts.length > 2) bad(text, 'too many parts');
    const host = (parts[0] ?? '').replace(/^\[(.*)\]$/, '$1');
    return tcp(text, host, parts[1], defaultPort);
  }
  if (text.startsWith('/')) return unix(text, text);
  const bracketed = /^\[([^\]]+)\](?::(.*))?$/.exec(text);
  if (bracketed !== null) return tcp(text, bracketed[1] ?? '', bracketed[2], defaultPort);
  const colons = text.split(':');
  if (colons.length > 2) return tcp(text, text, undefined, defaultPort);
  return tcp(text, colons[0] ?? '', colons[1], defaultPort);
}

function unix(text: string, path: string): Address {
  if (Buffer.byteLength(path) > MAX_UNIX_PATH)
    bad(text, `the path of a unix socket has at most ${MAX_UNIX_PATH} bytes`);
  if (path.includes('\0')) bad(text, 'the path holds a NUL');
  return { kind: 'unix', path };
}

/** The address in dial form, which parseAddress() reads back. */
export function formatAddress(address: Address): string {
  return address.kind === 'unix' ? `unix!${address.path}` : `tcp!${address.host}!${address.port}`;
}
