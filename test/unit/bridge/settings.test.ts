import { describe, expect, test } from 'vitest';
import { checkSettings, completeSettings, type MountSettings } from '../../../src/bridge/settings.ts';
import { ConfigError } from '../../../src/common/errors.ts';

const address = { kind: 'tcp', host: 'server', port: 564 } as const;
const complete = (some: Partial<MountSettings>) => completeSettings({ address, mountpoint: '/mnt', ...some });

describe('what cannot be had together is refused', () => {
  test.each<[Partial<MountSettings>, string]>([
    [{ idmap: 'file' }, 'idmap=file: it needs uidfile=FILE'],
    [{ uidfile: '/u' }, 'with idmap=file only'],
    [{ idmap: 'user', gidfile: '/g' }, 'with idmap=file only'],
    [{ nomap: 'ignore' }, 'nomap= means something with idmap=file only'],
    [{ idmap: 'file', uidfile: '/u', version: '9P2000' }, 'its owners are names'],
    [{ flock: 'remote', locks: false }, 'flock=remote with nolock'],
    [{ flock: 'remote', version: '9P2000.u' }, 'only 9P2000.L has locks'],
    [{ flock: 'remote', driver: 'fuse-native' }, 'fuse-native has no locks'],
    [{ posixAcl: true, version: '9P2000' }, 'only 9P2000.L has extended attributes'],
    [{ posixAcl: true, driver: 'fuse-native' }, 'knows no ACLs'],
    [{ driver: 'fuse-native', allowOther: true }, 'fuse-native does not tell who calls'],
  ])('%j', (some, why) => {
    const check = () => checkSettings(complete({ driver: 'device', ...some }));
    expect(check).toThrow(ConfigError);
    expect(check).toThrow(why);
  });

  test.each<[Partial<MountSettings>]>([
    [{}],
    [{ idmap: 'file', gidfile: '/g', nomap: 'error' }],
    [{ idmap: 'user', access: 5, showUid: 7 }],
    [{ flock: 'remote', posixAcl: true }],
    [{ driver: 'fuse-native', access: 'client', allowOther: true }],
  ])('%j is not', (some) => {
    checkSettings(complete({ driver: 'device', ...some }));
  });
});

test('files are where they were when the mount was asked for', () => {
  expect(complete({ uidfile: 'uids', gidfile: '/g' })).toMatchObject({
    uidfile: `${process.cwd()}/uids`,
    gidfile: '/g',
  });
});
