// Addresses: the forms that people write, those that are refused with a line that helps, and that what is printed is
// what was parsed.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../../src/common/errors.ts';
import { type Address, formatAddress, parseAddress } from '../../../src/transport/address.ts';

const tcp = (host: string, port = 564): Address => ({ kind: 'tcp', host, port });
const unix = (path: string): Address => ({ kind: 'unix', path });

const good: readonly [string, Address][] = [
  ['host', tcp('host')],
  ['host:1234', tcp('host', 1234)],
  ['host.example.org:0', tcp('host.example.org', 0)],
  ['127.0.0.1:65535', tcp('127.0.0.1', 65535)],
  ['::1', tcp('::1')],
  ['[::1]', tcp('::1')],
  ['[::1]:1234', tcp('::1', 1234)],
  ['[fe80::1%eth0]:1234', tcp('fe80::1%eth0', 1234)],
  ['2001:db8::7', tcp('2001:db8::7')],
  ['tcp!host', tcp('host')],
  ['tcp!host!1234', tcp('host', 1234)],
  ['tcp!::1!1234', tcp('::1', 1234)],
  ['tcp![::1]!1234', tcp('::1', 1234)],
  ['b\u00fccher.example', tcp('b\u00fccher.example')],
  ['unix!/run/9p', unix('/run/9p')],
  ['/run/9p', unix('/run/9p')],
  ['/run/a!b:1 c', unix('/run/a!b:1 c')],
  ['unix!/run/unix!/x', unix('/run/unix!/x')],
  ['/with\nnewline', unix('/with\nnewline')],
];

const bad: readonly [string, RegExp][] = [
  ['', /no host/],
  [':564', /no host/],
  ['tcp!', /no host/],
  ['tcp!!564', /no host/],
  ['[]:564', /not a host/],
  ['host:', /'' is not a port/],
  ['host:http', /'http' is not a port/],
  ['host:65536', /'65536' is not a port/],
  ['host:-1', /'-1' is not a port/],
  ['host:1e3', /not a port/],
  ['host: 1', /not a port/],
  ['host:1.5', /not a port/],
  ['tcp!host!', /'' is not a port/],
  ['tcp!host!564!x', /too many parts/],
  ['udp!host!564', /unknown network 'udp'/],
  ['unix!run/9p', /must be absolute/],
  ['unix!', /must be absolute/],
  ['unix!/a\0b', /NUL/],
  [`/${'x'.repeat(107)}`, /at most 107 bytes/],
  [`/${'\u00e9'.repeat(54)}`, /at most 107 bytes/],
  ['my host', /not a host/],
  ['host/path', /not a host/],
  ['a\0b', /not a host/],
  ['a:b:c', /not a host/],
  ['host:1:2', /not a host/],
  ['[::1', /not a host/],
  ['[::1]x', /not a host/],
  ['[::1]564', /not a host/],
  ['a[b]', /not a host/],
  ['!', /not a host/],
];

describe('parseAddress', () => {
  test.each(good)('%j', (text, address) => {
    expect(parseAddress(text)).toEqual(address);
    expect(parseAddress(formatAddress(address))).toEqual(address);
  });

  test.each(bad)('refuses %j', (text, why) => {
    expect(() => parseAddress(text)).toThrow(why);
    // one line that names the address and what could be written instead
    expect(() => parseAddress(text)).toThrow(`address '${text}': `);
    expect(() => parseAddress(text)).toThrow('tcp!HOST!PORT');
    expect(() => parseAddress(text)).toThrow(ConfigError);
  });

  test('takes the default port of the caller', () => {
    expect(parseAddress('host', 5640)).toEqual(tcp('host', 5640));
    expect(parseAddress('host:1', 5640)).toEqual(tcp('host', 1));
  });

  test('any text is an address or a ConfigError', () => {
    const pieces = fc.constantFrom('tcp!', 'unix!', '/', ':', '[', ']', '!', '::1', '564', 'host', '.', ' ', '\0', '%');
    const text = fc.oneof(
      fc.string(),
      fc.array(fc.oneof(pieces, fc.string({ maxLength: 3 })), { maxLength: 6 }).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(text, (written) => {
        let address: Address;
        try {
          address = parseAddress(written);
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError);
          return;
        }
        expect(parseAddress(formatAddress(address))).toEqual(address);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('formatAddress', () => {
  test('what it prints is read back', () => {
    const port = fc.nat(65535);
    const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6(), fc.constant('localhost'));
    const path = fc
      .string({ unit: 'grapheme', maxLength: 20 })
      .map((text) => `/${text.replaceAll('\0', '')}`)
      .filter((text) => Buffer.byteLength(text) <= 107);
    const address: fc.Arbitrary<Address> = fc.oneof(
      fc.record({ kind: fc.constant('tcp' as const), host, port }, { noNullPrototype: true }),
      fc.record({ kind: fc.constant('unix' as const), path }, { noNullPrototype: true }),
    );
    fc.assert(
      fc.property(address, (given) => {
        expect(parseAddress(formatAddress(given))).toEqual(given);
      }),
      { numRuns: 500 },
    );
  });
});
