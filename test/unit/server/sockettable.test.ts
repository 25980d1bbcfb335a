// Rows of /proc/net/tcp and tcp6, as the kernel prints them on this kind of processor: which of them count, and for whom.

import { endianness } from 'node:os';
import { describe, expect, test } from 'vitest';
import { ownerOf, socketTables } from '../../../src/server/sockettable.ts';

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const ROOM = ' '.repeat(20);

function row(local: string, remote: string, uid: number, state = '01', inode = 4242): string {
  const queues = '00000000:00000000 00:00000000 00000000';
  return `   0: ${local} ${remote} ${state} ${queues} ${String(uid).padStart(5)}        0 ${inode} 1 0000000012345678 20 4 30 10 -1${ROOM}\n`;
}

/** 127.0.0.1:5640 and 127.0.0.1:40000, in both families. */
const V4 = ['0100007F:1608', '0100007F:9C40'] as const;
const MAPPED = V4.map((end) => `0000000000000000FFFF0000${end}`) as [string, string];
const SERVER = { host: '127.0.0.1', port: 5640 };
const CLIENT = { host: '127.0.0.1', port: 40000 };

const owner = (v4: string, v6 = '', local = CLIENT, remote = SERVER) => ownerOf([HEAD + v4, HEAD + v6], local, remote);

describe.runIf(endianness() === 'LE')('the owner of a connection', () => {
  test("is that of the client's own row, and not of the server's", () => {
    expect(owner(row(V4[0], V4[1], 0) + row(V4[1], V4[0], 1001))).toBe(1001);
    expect(owner(row(V4[0], V4[1], 0))).toBeUndefined();
  });

  test.each([
    ['TIME_WAIT, which is shown as root', row(V4[1], V4[0], 0, '06', 0)],
    ['a socket that its process has closed, which is shown as root', row(V4[1], V4[0], 0, '04', 0)],
    ['one that nobody holds', row(V4[1], V4[0], 0, '01', 0)],
    ['a connection that is being made', row(V4[1], V4[0], 0, '02') + row(V4[1], V4[0], 0, '03')],
    ['another port', row('0100007F:9C41', V4[0], 0) + row(V4[1], '0100007F:1609', 0)],
    ['another address', row('0200007F:9C40', V4[0], 0) + row(V4[1], '0200007F:1608', 0)],
    ['a row that is cut', row(V4[1], V4[0], 0).slice(0, 60)],
    ['two rows', row(V4[1], V4[0], 0) + row(V4[1], V4[0], 1001)],
  ])('is nobody for %s', (_, rows) => {
    expect(owner(rows)).toBeUndefined();
    expect(owner('', rows)).toBeUndefined();
  });

  test('is found beside rows that do not count', () => {
    const others = row(V4[1], V4[0], 0, '06', 0) + row('0100007F:9C41', V4[0], 0);
    expect(owner(others + row(V4[1], V4[0], 1001) + others)).toBe(1001);
  });

  test('of IPv4 is found in both tables, however the ends are written', () => {
    const mapped = (port: number) => ({ host: '::ffff:127.0.0.1', port });
    for (const [local, remote] of [
      [CLIENT, SERVER],
      [mapped(40000), mapped(5640)],
      [{ host: '::ffff:7f00:1', port: 40000 }, SERVER],
    ] as const) {
      expect(owner(row(V4[1], V4[0], 7), '', local, remote)).toBe(7);
      expect(owner('', row(MAPPED[1], MAPPED[0], 7), local, remote)).toBe(7);
      expect(owner(row(V4[1], V4[0], 7), row(MAPPED[1], MAPPED[0], 8), local, remote)).toBeUndefined();
    }
  });

  test('of IPv6', () => {
    const loopback = '00000000000000000000000001000000';
    const rows = row(`${loopback}:9C40`, `${loopback}:1608`, 7);
    const end = (host: string, port: number) => ({ host, port });
    expect(owner('', rows, end('::1', 40000), end('::1', 5640))).toBe(7);
    expect(owner('', rows, end('0:0:0:0:0:0:0:1', 40000), end('0::1', 5640))).toBe(7);
    expect(owner('', rows, end('::2', 40000), end('::1', 5640))).toBeUndefined();
    const far = row('B80D01200000000067452301EFCDAB89:9C40', `${loopback}:1608`, 9);
    expect(owner('', far, end('2001:db8::123:4567:89ab:cdef', 40000), end('::1', 5640))).toBe(9);
  });

  test.each([
    '',
    'localhost',
    '127.0.0.256',
    '127.0.0',
    '1::2::3',
    '1:2:3:4:5:6:7:8:9',
    '::12345',
    'fe80::1%eth0',
    ':::',
  ])('is nobody at %j, which is no address', (host) => {
    const rows = row(V4[1], V4[0], 0) + row(V4[1], '00000000:1608', 0);
    expect(owner(rows, rows, CLIENT, { host, port: 5640 })).toBeUndefined();
  });
});

test.runIf(process.platform === 'linux')(
  'whoever asks gets tables that were read later, by one reading at a time',
  async () => {
    const first = socketTables();
    const second = socketTables();
    expect(second).toBe(first);
    await Promise.resolve();
    const third = socketTables();
    expect(third).not.toBe(first);
    expect(socketTables()).toBe(third);
    for (const tables of await Promise.all([first, third])) expect(tables[0]).toContain('local_address');
  },
);
