// Codes, numbers and messages of the error classes are part of the public surface: this pins them.

import { describe, expect, test } from 'vitest';
import { CancelledError, ConfigError, ConnectionError, ErrnoError, ProtocolError } from '../../../src/common/errors.ts';

describe('errors', () => {
  test('each has its class, name, code and errno', () => {
    const rows = [
      [new ErrnoError(2, 'open x'), 'ErrnoError', 'ENOENT', 2, 'open x: ENOENT'],
      [new ErrnoError(13), 'ErrnoError', 'EACCES', 13, 'EACCES'],
      [new ErrnoError(4000), 'ErrnoError', 'errno 4000', 4000, 'errno 4000'],
      [new CancelledError('read'), 'CancelledError', 'EINTR', 4, 'read: EINTR'],
      [new CancelledError('read', 110), 'CancelledError', 'ETIMEDOUT', 110, 'read: ETIMEDOUT'],
      [new ProtocolError('no'), 'ProtocolError', 'ERR_9P_PROTOCOL', 5, 'no'],
      [new ConnectionError('gone'), 'ConnectionError', 'ERR_9P_CONNECTION', 5, 'gone'],
    ] as const;
    for (const [error, name, code, number, message] of rows) {
      expect(error).toBeInstanceOf(Error);
      expect({ name: error.name, code: error.code, errno: error.errno, message: error.message }).toEqual({
        name,
        code,
        errno: number,
        message,
      });
      expect(String(error)).toBe(`${name}: ${message}`);
    }
  });

  test('a cancelled call is an errno too', () => {
    expect(new CancelledError()).toBeInstanceOf(ErrnoError);
  });

  test('a ConfigError carries the exit code and the cause', () => {
    const cause = new Error('EADDRINUSE');
    expect(new ConfigError('x')).toMatchObject({ code: 'ERR_CONFIG', exitCode: 2 });
    expect(new ConfigError('x', 1, { cause })).toMatchObject({ exitCode: 1, cause });
    expect(new ConnectionError('x', { cause }).cause).toBe(cause);
  });
});
