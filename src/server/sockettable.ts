// Whose a TCP socket of this machine is, as /proc/net/tcp and tcp6 have it (proc_net_tcp(5)).
// Guarantees: the row is found by both of its ends, exactly, and counts only while the connection is established and some
// process holds the socket: what a process has closed, or what is in TIME_WAIT, is shown as root's. Whoever asks gets a table
// that was read after he asked; however many ask, one reading runs at a time.
// The uid is that of the process which made the socket, whoever holds it now: handing a socket on hands on the right to use
// it, as with any open file.

import { readFile } from 'node:fs/promises';
import { endianness } from 'node:os';
import type { SocketEnd } from '../transport/transport.ts';

const ESTABLISHED = '01';
const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
/** What follows the state: queues, timer, retransmissions, and then uid, timeout, inode. */
const REST = /^ *[\dA-F]+:[\dA-F]+ +[\dA-F]+:[\dA-F]+ +[\dA-F]+ +(\d+) +\d+ +(\d+)(?: |$)/;

const FILES = ['/proc/net/tcp', '/proc/net/tcp6'] as const;

/** The bytes of an address as node writes it, 4 or 16; undefined for one with a scope, which the table has no column for. */
function bytesOf(host: string): number[] | undefined {
  const dotted = /^(.*?)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(host);
  const last = dotted === null ? [] : dotted.slice(2).map(Number);
  if (last.some((byte) => byte > 255)) return undefined;
  const before = dotted === null ? host : (dotted[1] ?? '');
  if (before === '') return last.length === 4 ? last : undefined;
  const [head = '', tail, ...more] = before.replace(/(?<=[^:]):$/, '').split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':'));
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  const all = [...front, ...back];
  const room = (16 - last.length) / 2;
  const fits = tail === undefined ? all.length === room : all.length < room;
  if (more.length > 0 || !fits || !all.every((group) => /^[\da-f]{1,4}$/i.test(group))) return undefined;
  const middle = new Array<string>(room - all.length).fill('0');
  const words = [...front, ...middle, ...back].map((group) => Number.parseInt(group, 16));
  return [...words.flatMap((word) => [word >> 8, word & 0xff]), ...last];
}

/** As the kernel prints them: words of 32 bits, each as this machine's processor reads it from memory. */
function hex(bytes: readonly number[]): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 4) {
    const word = bytes.slice(at, at + 4);
    if (endianness() === 'LE') word.reverse();
    for (const byte of word) text += byte.toString(16).padStart(2, '0');
  }
  return text.toUpperCase();
}

const portOf = (port: number) => port.toString(16).padStart(4, '0').toUpperCase();

/** How an end stands in each of FILES; a v4 address may belong to a socket of either family. */
function spellings({ host, port }: SocketEnd): readonly [v4: string | undefined, v6: string] | undefined {
  const bytes = bytesOf(host);
  if (bytes === undefined) return undefined;
  const isMapped = bytes.length === 16 && MAPPED.every((byte, i) => byte === bytes[i]);
  const v4 = bytes.length === 4 ? bytes : isMapped ? bytes.slice(12) : undefined;
  const v6 = v4 === undefined ? bytes : [...MAPPED, ...v4];
  return [v4 && `${hex(v4)}:${portOf(port)}`, `${hex(v6)}:${portOf(port)}`];
}

/** The uids of the established, held sockets between two ends. */
function ownersIn(table: string, local: string, remote: string): number[] {
  const wanted = `: ${local} ${remote} ${ESTABLISHED} `;
  const found: number[] = [];
  for (let at = table.indexOf(wanted); at >= 0; at = table.indexOf(wanted, at + 1)) {
    const from = at + wanted.length;
    const end = table.indexOf('\n', from);
    const [, uid, inode] = REST.exec(table.slice(from, end < 0 ? undefined : end)) ?? [];
    if (uid !== undefined && inode !== '0') found.push(Number(uid));
  }
  return found;
}

/** The uid of the socket whose own end is `local` and whose other end is `remote`; undefined when the tables tell of none. */
export function ownerOf(tables: readonly string[], local: SocketEnd, remote: SocketEnd): number | undefined {
  const [from, to] = [spellings(local), spellings(remote)];
  if (from === undefined || to === undefined) return undefined;
  const owners = tables.flatMap((table, family) => {
    const [a, b] = [from[family], to[family]];
    return a === undefined || b === undefined ? [] : ownersIn(table, a, b);
  });
  // two rows for one connection are one too many to believe either
  return owners.length === 1 ? owners[0] : undefined;
}

async function read(): Promise<string[]> {
  return Promise.all(
    FILES.map(async (file) => {
      try {
        return await readFile(file, 'latin1');
      } catch (error) {
        // a kernel without IPv6 has one of them only
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
        throw error;
      }
    }),
  );
}

let running: Promise<unknown> = Promise.resolve();
/** The reading that has not begun yet, for all who ask before it does. */
let next: Promise<string[]> | undefined;

/** The tables as they are after the call. */
export function socketTables(): Promise<string[]> {
  next ??= running.then(() => {
    next = undefined;
    const reading = read();
    running = reading.catch(() => undefined); // whoever waits for it hears of the failure
    return reading;
  });
  return next;
}
