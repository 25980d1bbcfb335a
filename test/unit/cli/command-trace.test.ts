// `ninefs trace` as a person runs it, between the built commands: its lines, its troubles, its end.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cli, ninefs, start, startServer } from '../../support/cli.ts';
import { nobody } from '../../support/servers.ts';
import { withTempDir } from '../../support/tempdir.ts';

let server: Awaited<ReturnType<typeof startServer>>;
beforeAll(async () => {
  server = await startServer('memory:');
});
afterAll(() => server.kill());

async function startTrace(...args: string[]): Promise<Cli & { address: string }> {
  const trace = start(['trace', server.address, '--listen', 'tcp!127.0.0.1!0', ...args]);
  const [, address = ''] = await trace.output(/listening on (.*)$|"address":"([^"]+)"/m).then(
    (match) => [match[0], match[1] ?? match[2] ?? ''],
    async (error: unknown) => {
      await trace.kill();
      throw error;
    },
  );
  return Object.assign(trace, { address });
}

/** Runs a few rules of `ninefs check` through it. */
const check = (address: string, ...args: string[]) => ninefs(['check', address, '--only', 'flush-o*', ...args]);

describe('a trace', () => {
  test('changes nothing, prints every message, and ends with a summary', async () => {
    const trace = await startTrace();
    try {
      const { code, stdout } = await ninefs(['check', trace.address]);
      expect(stdout).toContain(', 0 failed,');
      expect(code).toBe(0);
      const result = await trace.stop('SIGINT');
      expect(result).toMatchObject({ code: 0, stderr: '' });
      const lines = result.stdout.trimEnd().split('\n');
      expect(lines[0]).toBe(`listening on ${trace.address}`);
      expect(lines[1]).toMatch(/^\d\d:\d\d:\d\d\.\d{6} 1 -- connected: tcp!127\.0\.0\.1!\d+$/);
      expect(lines[2]).toMatch(/^\S+ 1 -> Tversion tag=65535 msize=8216 version="9P2000\.L"$/);
      expect(lines[3]).toMatch(/^\S+ 1 <- Rversion tag=65535 msize=8216 .* \| of=Tversion .* \| \d+\.\d{3} ms$/);
      expect(result.stdout).toMatch(/^Tversion +\d+ +\d+\.\d{3} ms +\d+\.\d{3} ms +\d+\.\d{3} ms$/m);
      expect(lines.at(-1)).toMatch(
        /^\d+ flushes: \d+ cancelled, \d+ answered first, \d+ of nothing, 0 without an answer$/,
      );
    } finally {
      await trace.kill();
    }
  });

  test('--json is an object a line', async () => {
    const trace = await startTrace('--json');
    try {
      await check(trace.address);
      const { stdout } = await trace.stop('SIGTERM');
      const events = stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(events[0]).toEqual({ event: 'listening', address: trace.address });
      expect(events.at(-1)).toMatchObject({ event: 'summary', held: 0, dropped: 0, wrong: 0 });
      const messages = events.filter(({ event }) => event === 'message');
      expect(messages[0]).toMatchObject({ connection: 1, from: 'client', type: 'Tversion', fields: { msize: 8216 } });
      expect(messages[1]).toMatchObject({
        type: 'Rversion',
        request: { type: 'Tversion' },
        latency: expect.any(Number),
      });
    } finally {
      await trace.kill();
    }
  });

  test('listens on a unix socket too, and removes it', () =>
    withTempDir(async (dir) => {
      const path = join(dir, 'socket');
      const trace = start(['trace', server.address, '--listen', `unix!${path}`]);
      try {
        await trace.output(/listening/);
        expect((await check(`unix!${path}`)).code).toBe(0);
        expect((await trace.stop('SIGINT')).code).toBe(0);
        await expect(readFile(path)).rejects.toThrow('ENOENT');
      } finally {
        await trace.kill();
      }
    }));

  test('ends when nobody reads it any more', async () => {
    const trace = await startTrace();
    try {
      trace.process.stdout?.destroy();
      await check(trace.address);
      expect(await trace.ended()).toMatchObject({ code: 0, stderr: '' });
    } finally {
      await trace.kill();
    }
  });
});

describe('trouble', () => {
  test('--hold keeps messages until SIGUSR1', async () => {
    const trace = await startTrace('--hold', 'Rversion');
    try {
      const run = start(['check', trace.address, '--only', 'flush-own', '--timeout', '60']);
      await trace.output(/Rversion .*\| HELD/);
      trace.process.kill('SIGUSR1');
      await trace.output(/0 -- released 21 bytes/);
      await trace.output(/Tattach/);
      await run.kill();
      expect((await trace.stop('SIGINT')).stdout).toMatch(/, [1-9]\d* held, 0 dropped/);
    } finally {
      await trace.kill();
    }
  });

  test('--drop lets messages vanish', async () => {
    const trace = await startTrace('--drop', 'Rflush');
    try {
      const { code, stdout } = await ninefs(['check', trace.address, '--only', 'flush-own', '--timeout', '3']);
      expect(stdout).toMatch(/no answer to Tflush/);
      expect(code).toBe(1);
      expect((await trace.stop('SIGINT')).stdout).toMatch(/Rflush .*\| DROPPED/);
    } finally {
      await trace.kill();
    }
  });

  test('--cut-after loses the connection', async () => {
    const trace = await startTrace('--cut-after', '40');
    try {
      const { code, stderr } = await check(trace.address);
      expect(stderr).toMatch(/^ninefs: /);
      expect(code).toBe(1);
      expect((await trace.stop('SIGINT')).stdout).toContain('-- cut after 40 bytes from the server');
    } finally {
      await trace.kill();
    }
  });

  test('--delay makes everything late, and nothing wrong', async () => {
    const trace = await startTrace('--delay', '20');
    try {
      expect((await check(trace.address)).code).toBe(0);
      const least = /^Tversion +\d+ +(\d+\.\d+) ms/m.exec((await trace.stop('SIGINT')).stdout)?.[1];
      expect(Number(least)).toBeGreaterThan(19);
    } finally {
      await trace.kill();
    }
  });
});

describe('what cannot be', () => {
  test('no server: one line and exit 1', async () => {
    const peer = await nobody();
    const { code, stdout, stderr } = await ninefs(['trace', peer.address, '--listen', 'tcp!127.0.0.1!0']);
    await peer.close();
    expect({ code, stdout, stderr }).toEqual({
      code: 1,
      stdout: '',
      stderr: `ninefs: ${peer.address}: nothing is listening there\n`,
    });
  });

  test('an address in use: one line and exit 1', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as { port: number };
    const { code, stdout, stderr } = await ninefs(['trace', server.address, '--listen', `tcp!127.0.0.1!${port}`]);
    other.close();
    expect(stderr).toMatch(/^ninefs: cannot listen on tcp!127\.0\.0\.1!\d+: .*EADDRINUSE[^\n]*\n$/);
    expect(stdout).toBe('');
    expect(code).toBe(1);
  });
});
