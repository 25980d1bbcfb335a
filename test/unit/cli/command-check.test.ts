// `ninefs check` as a person runs it: exit codes, the two forms of its report, and that nothing of it is left on the server.

import { execFile } from 'node:child_process';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ninefs, ninefsPath, start, startServer } from '../../support/cli.ts';
import { answering, type FakeServer, hangingUp, mute, nobody, versionOnly } from '../../support/servers.ts';
import { withTempDir } from '../../support/tempdir.ts';
import { until } from '../../support/until.ts';

interface Document {
  counts: Record<string, number>;
  left: string | null;
  interrupted: boolean;
  version: string;
  msize: number;
  rules: { id: string; section: string; text: string; writes: boolean; result: string; did: string; ms: number }[];
}

let server: Awaited<ReturnType<typeof startServer>>;
beforeAll(async () => {
  server = await startServer('memory:');
});
afterAll(() => server.kill());

const check = (...args: string[]) => ninefs(['check', server.address, ...args]);

describe('a run', () => {
  test('ends 0 when nothing failed, with a table and a summary', async () => {
    const { code, stdout, stderr } = await check('--only', 'flush-o*');
    expect(stderr).toBe('');
    expect(stdout).toContain('Tflush of its own tag is answered with Rflush');
    expect(stdout.trim().split('\n').at(-1)).toBe(
      '9P2000.L, msize 8216: 4 passed, 0 failed, 0 not applicable, 0 could not be told',
    );
    expect(code).toBe(0);
  });

  test('--json is one document of every rule that ran', async () => {
    const { code, stdout } = await check('--json', '--only', 'walk-*', '--only', 'clunk', '-o', 'msize=16k');
    const document = JSON.parse(stdout) as Document;
    expect(document).toMatchObject({ address: server.address, aname: '', version: '9P2000.L', msize: 16384 });
    expect(document).toMatchObject({ left: null, interrupted: false });
    const { pass } = document.counts;
    expect(document.counts).toEqual({ pass, fail: 0, notApplicable: 0, unclear: 0 });
    expect(document.rules.length).toBe(pass);
    expect(document.rules.find(({ id }) => id === 'walk-17')).toMatchObject({
      section: 'walk(9P)',
      writes: false,
      result: 'pass',
    });
    expect(code).toBe(0);
  });

  test('of a server of 9P2000 alone has the rules of that dialect', async () => {
    const old = await startServer('memory:', ['--listen', 'tcp!127.0.0.1!0', '--dialects', '9P2000']);
    try {
      const only = ['--only', 'wstat-again-*', '--only', 'walk-16'];
      const { code, stdout } = await ninefs(['check', old.address, '--json', ...only]);
      const document = JSON.parse(stdout) as Document;
      expect(document).toMatchObject({ version: '9P2000', versions: ['9P2000'], left: null });
      const results = new Map(document.rules.map(({ id, result }) => [id, result]));
      expect(results.get('walk-16')).toBe('n/a');
      expect(results.get('wstat-again-open-setattr')).toBe('pass');
      expect(code).toBe(0);
    } finally {
      await old.kill();
    }
  });

  test('--list runs nothing and needs no server', async () => {
    const { code, stdout } = await ninefs(['check', '--list', '--json', '--only', 'read*']);
    const rules = JSON.parse(stdout) as { id: string }[];
    expect(rules.map(({ id }) => id)).toContain('read-end');
    expect(rules.every(({ id }) => id.startsWith('read'))).toBe(true);
    expect(code).toBe(0);
    expect((await ninefs(['check', '--list'])).stdout).toContain('flush-running');
  });

  test('a reader that goes away does not make it a failure of ours', async () => {
    const { stdout } = await promisify(execFile)('/bin/sh', [
      '-c',
      `${process.execPath} ${ninefsPath} check --list | head -1; echo done`,
    ]);
    expect(stdout).toContain('done');
  });
});

describe('a server that fails', () => {
  test('ends it with 1, after the rules that it does not fail', async () => {
    const faults = await startServer('faults:');
    try {
      const only = ['--only', 'flush-running', '--only', 'flush-own', '--timeout', '3', '-o', 'hang=mute'];
      const { code, stdout, stderr } = await ninefs(['check', faults.address, '--readonly', ...only]);
      expect(stderr).toBe('');
      expect(stdout).toMatch(/flush-own .* pass /);
      expect(stdout).toMatch(/flush-running .* fail .* no answer to Tflush within/);
      expect(stdout).toContain('1 passed, 1 failed, 0 not applicable, 0 could not be told');
      expect(code).toBe(1);
    } finally {
      await faults.kill();
    }
  });
});

describe('what it makes on the server', () => {
  test('is gone afterwards, and what was there is as it was', () =>
    withTempDir(async (dir) => {
      await writeFile(join(dir, 'mine'), 'text');
      const host = await startServer(dir);
      try {
        const { code } = await ninefs(['check', host.address, '--only', 'remove*', '--only', 'readdir*']);
        expect(code).toBe(0);
        expect(await readdir(dir)).toEqual(['mine']);
      } finally {
        await host.kill();
      }
    }));

  test.each(['SIGINT', 'SIGTERM'] as const)('is gone after %s as well', (signal) =>
    withTempDir(async (dir) => {
      const host = await startServer(dir);
      // removing it takes no longer than a rule may
      const run = start(['check', host.address, '--timeout', '30']);
      try {
        await until('something to be there', async () => (await readdir(dir)).length > 0);
        const { code, stderr } = await run.stop(signal);
        expect(stderr).toContain('ninefs: interrupted: ');
        expect(code).toBe(130);
        expect(await readdir(dir)).toEqual([]);
      } finally {
        await run.kill();
        await host.kill();
      }
    }),
  );

  test('is nothing with --readonly', () =>
    withTempDir(async (dir) => {
      const host = await startServer(dir, ['--listen', 'tcp!127.0.0.1!0', '--readonly']);
      try {
        const only = ['--only', 'write-count', '--only', 'walk-none'];
        for (const flags of [['--readonly'], []]) {
          const { code, stdout } = await ninefs(['check', host.address, '--json', ...only, ...flags]);
          const { rules } = JSON.parse(stdout) as Document;
          expect(rules.map(({ result }) => result).sort()).toEqual(['n/a', 'pass']);
          expect(code).toBe(0);
        }
        expect(await readdir(dir)).toEqual([]);
      } finally {
        await host.kill();
      }
    }));
});

describe('a server that cannot be checked is one line and exit 1', () => {
  const cases: Record<string, [() => Promise<FakeServer>, RegExp]> = {
    'that hangs up': [hangingUp, /hung up/],
    'that says nothing': [mute, /no answer to Tversion within 3 s; is it a 9P server\?/],
    'that is none': [() => answering('HTTP/1.1 400 Bad Request\r\n\r\n'), /not 9P/],
    'of another protocol': [
      () => versionOnly('unknown'),
      /no version of 9P: .*, 9P2000\.u, 9P2000: Rversion "unknown"/,
    ],
    'that goes silent': [() => versionOnly('9P2000.L'), /no answer to Tattach within 3 s/],
  };
  test.each(Object.entries(cases))('%s', async (_what, [begin, says]) => {
    const peer = await begin();
    try {
      const { code, stdout, stderr } = await ninefs(['check', peer.address, '--timeout', '3']);
      expect(stderr).toMatch(says);
      expect(stderr).toMatch(/^ninefs: [^\n]+\n$/);
      expect(stdout).toBe('');
      expect(code).toBe(1);
    } finally {
      await peer.close();
    }
  });

  test('that is not there', async () => {
    const peer = await nobody();
    const { code, stderr } = await ninefs(['check', peer.address]);
    await peer.close();
    expect(stderr).toBe(`ninefs: ${peer.address}: nothing is listening there\n`);
    expect(code).toBe(1);
  });

  test('that lets nobody in', async () => {
    const { code, stderr } = await check('-o', 'aname=/nowhere');
    expect(stderr).toBe('ninefs: the server refuses Tattach: Rlerror ENOENT; is aname=/nowhere right?\n');
    expect(code).toBe(1);
  });
});
