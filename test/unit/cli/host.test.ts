// Which systems can mount with which driver.

import { describe, expect, test } from 'vitest';
import { checkSystem } from '../../../src/cli/host.ts';
import { ConfigError } from '../../../src/common/errors.ts';

describe('mounting', () => {
  test.each([
    ['linux', undefined],
    ['linux', 'device'],
    ['linux', 'fuse-native'],
    ['darwin', undefined],
    ['darwin', 'fuse-native'],
  ] as const)('%s, %s: can be', (system, driver) => {
    expect(() => checkSystem(driver, system)).not.toThrow();
  });

  test.each([
    ['darwin', 'device', /on macOS it is fuse-native/],
    ['win32', undefined, /needs Linux or macOS, this is win32/],
    ['freebsd', 'fuse-native', /needs Linux or macOS/],
  ] as const)('%s, %s: cannot', (system, driver, says) => {
    expect(() => checkSystem(driver, system)).toThrow(ConfigError);
    expect(() => checkSystem(driver, system)).toThrow(says);
  });
});
