// Mounts of other people's servers, from the binaries that the environment names (foreign.ts): the POSIX checks, work
// that people do, random work by one mount and by two, and what `ninefs check` says of them, for whoever reads the log.
// What a server cannot do is in test/posix/exclude and in the tables here. NINEFS_SCALE=1 does as much as the project
// promises; NINEFS_SEED is the seed of the random work (1).

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import type { CacheMode } from '../../src/bridge/settings.ts';
import { rules } from '../../src/check/rules.ts';
import { check } from '../../src/check/runner.ts';
import { parseAddress } from '../../src/transport/address.ts';
import { connectSocket } from '../../src/transport/socket.ts';
import { EXERCISE, type Exerciser, exercise } from '../support/exercisers.ts';
import { binaryOf, type Foreign, type ForeignServer, foreignServers } from '../support/foreign.ts';
import { type Mounted, mounted } from '../support/mounted.ts';
import { checksFor, likeLocal, posixSuite } from '../support/posix.ts';
import { makeTempDir, removeTempDir } from '../support/tempdir.ts';
import { workloadSuite } from '../support/workloads.ts';

type Version = Foreign['versions'][number];

/** What stands in the way, for a dialect or for a server. */
interface Lack {
  /** Files in test/posix/exclude. */
  readonly exclude: readonly string[];
  /** Workloads that need what is not there, and why. */
  readonly except: Readonly<Record<string, string>>;
  /** Of the random trees. */
  readonly without: readonly ('link' | 'symlink' | 'across' | 'held')[];
  /** Seconds by which times differ on both sides. */
  readonly slack: number;
}

const SECONDS = 'times are whole seconds';
const WITHIN = 'it renames to another directory';
const LINKS = 'there are no links';
const ROOM = 'there is room for 2,048 files, of 512 MiB each';
const TIMES = 'times cannot be set';
const NONE: Lack = { exclude: [], except: {}, without: [], slack: 0 };

const ofDialect: Readonly<Record<Version, Lack>> = {
  '9P2000.L': NONE,
  '9P2000.u': {
    exclude: ['dotu.txt'],
    except: { tar: SECONDS, make: SECONDS, many_entries: WITHIN, names: WITHIN },
    without: ['across'],
    slack: 1,
  },
  '9P2000': {
    exclude: ['legacy.txt'],
    except: { tar: LINKS, make: SECONDS, npm: LINKS, many_entries: LINKS, names: WITHIN },
    without: ['link', 'symlink', 'across'],
    slack: 1,
  },
};

const ofServer: Readonly<Record<string, Lack>> = {
  diod: { ...NONE, exclude: ['diod-any.txt'] },
  // a fid is a path, and a Twstat renames within a directory: what is open and has no name any more goes with it
  u9fs: { ...NONE, exclude: ['u9fs.txt'], without: ['held'] },
  // as well a Rstat does not tell how many names a file has, and a symbolic link is made where it leads somewhere
  go9p: { ...NONE, exclude: ['go9p.txt'], except: { npm: LINKS }, without: ['link', 'symlink', 'held'] },
  ramfs: { ...NONE, exclude: ['ramfs.txt'], except: { sparse: ROOM, git: ROOM, fio: ROOM, many_entries: TIMES } },
  p9ufs: { ...NONE, exclude: ['p9ufs.txt'] },
};

function lackOf(name: string, version: Version, cache: CacheMode): Lack {
  const [own = NONE, dialect] = [ofServer[name], ofDialect[version]];
  const times = cache === 'loose' && dialect !== NONE ? ['loose.txt'] : [];
  return {
    exclude: [...own.exclude, ...times, ...dialect.exclude], // the first file that names a check decides
    except: { ...dialect.except, ...own.except },
    without: [...new Set([...own.without, ...dialect.without])],
    // a write-back cache keeps times of its own
    slack: Math.max(own.slack, dialect.slack, cache === 'loose' ? 0.1 : 0),
  };
}

const asked = process.env['NINEFS_SCALE'];
const seed = process.env['NINEFS_SEED'] ?? '1';
/** Without a cache every call is a request, and takes several times as long. */
const scaleOf = (cache: CacheMode) => Number(asked ?? (cache === 'none' ? '0.015' : '0.05'));
const OPS: Readonly<Record<Exclude<Exerciser, 'othermount'>, number>> = { files: 4000, trees: 400, exchange: 1000 };
const CHECK = { timeout: 5000, whole: 900_000 };

interface Running {
  readonly server: ForeignServer;
  readonly dir: string;
  /** The directory that is served, where it is one of this machine. */
  readonly exported: string | undefined;
  mount(cache: CacheMode): Promise<Mounted>;
  end(): Promise<void>;
}

async function running(foreign: Foreign, binary: string, version: Version): Promise<Running> {
  const dir = await makeTempDir('foreign');
  const directory = join(dir, 'export');
  await mkdir(directory);
  const server = await foreign.start(binary, directory);
  let made = 0;
  return {
    server,
    dir,
    exported: foreign.hasDirectory ? directory : undefined,
    mount: (cache) =>
      mounted(join(dir, `${made++}`), {
        address: parseAddress(server.address),
        aname: server.aname,
        version,
        cache,
        access: 'client',
        ...likeLocal,
      }),
    async end() {
      await server.stop();
      await removeTempDir(dir);
    },
  };
}

/** Everything on one mount. */
function mountSuite(foreign: Foreign, binary: string, version: Version, cache: CacheMode): void {
  const lack = lackOf(foreign.name, version, cache);
  let at: Running;
  let live: Mounted;

  beforeAll(async () => {
    at = await running(foreign, binary, version);
    live = await at.mount(cache);
  });
  afterAll(async () => {
    try {
      await live.end();
    } finally {
      await at.end();
    }
  });

  const exclude = lack.exclude.map((file) => join(import.meta.dirname, '../posix/exclude', file));
  posixSuite('POSIX', () => live.mountpoint, { exclude, ...checksFor(cache) });
  if (cache !== 'loose') {
    const place = () => ({ dir: live.mountpoint, ...(at.exported && { server: at.exported }) });
    workloadSuite('work', place, { scale: scaleOf(cache), except: lack.except });
  }

  it('random operations on a file', { timeout: EXERCISE }, () =>
    exercise('files', [live.mountpoint, '--seed', seed], OPS.files),
  );
  it('a random tree made by four processes', { timeout: EXERCISE }, () =>
    exercise('trees', [live.mountpoint, ...treeOptions(lack, at.exported), '--seed', seed], OPS.trees),
  );
  it('leaks nothing', () => live.checkLeaks());
}

function treeOptions({ without, slack }: Lack, exported: string | undefined): string[] {
  const server = exported === undefined ? [] : ['--server', exported];
  return [...server, ...without.flatMap((kind) => ['--without', kind]), '--slack', `${slack}`];
}

/** Two mounts of one server, of which one renames and removes under the other. */
function twoMounts(foreign: Foreign, binary: string, version: Version): void {
  async function onTwo(cache: CacheMode, body: (mountpoints: string[], exported?: string) => Promise<void>) {
    const at = await running(foreign, binary, version);
    const live: Mounted[] = [];
    try {
      for (let i = 0; i < 2; i++) live.push(await at.mount(cache));
      await body(
        live.map(({ mountpoint }) => mountpoint),
        at.exported,
      );
      for (const one of live) await one.checkLeaks();
    } finally {
      // checked above: here it would hide what failed before
      for (const { mount } of live) await mount.unmount({ lazy: true });
      await at.end();
    }
  }
  const promises: [CacheMode, string, string[], string[]][] = [
    ['none', 'at once', ['--coherent'], ['--coherent', '--settle', '0']],
    ['auto', 'after a second', ['--settle', '1.1'], []],
  ];
  for (const [cache, when, trees, exchange] of promises) {
    it(`cache=${cache}: a random tree is the same on both ${when}`, { timeout: EXERCISE }, () =>
      onTwo(cache, (at, exported) =>
        exercise(
          'trees',
          [...at, ...treeOptions(lackOf(foreign.name, version, cache), exported), ...trees, '--seed', seed],
          OPS.trees,
        ),
      ),
    );
    it(`cache=${cache}: files written on one and read on the other`, { timeout: EXERCISE }, () =>
      onTwo(cache, (at, exported) => {
        const server = exported === undefined ? [] : ['--server', exported];
        return exercise('exchange', [...at, ...server, ...exchange, '--seed', seed], OPS.exchange);
      }),
    );
  }
}

/** Prints what the checker says; whether the server keeps to the manual is not for this test to judge. */
async function report(foreign: Foreign, binary: string): Promise<void> {
  const at = await running(foreign, binary, foreign.versions[0] ?? '9P2000.L');
  try {
    const { results, counts, versions, left } = await check({
      target: {
        dial: (signal) => connectSocket(parseAddress(at.server.address), { signal, timeout: CHECK.timeout }),
        who: { uname: 'root', aname: at.server.aname, nUname: 0 },
        msize: 8216,
        timeout: CHECK.timeout,
        hang: undefined,
      },
      rules,
      readOnly: false,
    });
    const lines = results
      .filter(({ verdict }) => verdict === 'fail' || verdict === 'unclear')
      .map(({ rule, verdict, did }) => `${rule.id.padEnd(28)}${verdict.padEnd(8)}${did}`);
    const head = `${foreign.name}, ${versions.join(' and ')}: ${JSON.stringify(counts)}; left: ${left ?? 'nothing'}`;
    process.stdout.write(`\n${[head, ...lines].join('\n')}\n`);
  } finally {
    await at.end();
  }
}

const able = existsSync('/dev/fuse') && process.getuid?.() === 0;
describe.skipIf(!able).each(foreignServers)('$name', (foreign) => {
  const binary = binaryOf(foreign.variable);
  if (binary.kind !== 'found') {
    const { kind, why } = binary;
    it.skipIf(kind === 'absent')(why, () => {
      throw new Error(why);
    });
    return;
  }
  const { path } = binary;
  it('is checked, for information', { timeout: CHECK.whole }, () => report(foreign, path));
  describe.each(foreign.versions)('%s', (version) => {
    describe.each<CacheMode>(['auto', 'none', 'loose'])('cache=%s', (cache) => {
      mountSuite(foreign, path, version, cache);
    });
    describe('two mounts', () => twoMounts(foreign, path, version));
  });
});
