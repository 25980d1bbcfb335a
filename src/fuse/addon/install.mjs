// Builds the addons when the package is installed, unless built or prebuilt ones already load.
// Guarantees: does nothing on systems other than Linux; downloads nothing where the headers lie beside the running
// Node; says in one line what is missing when it cannot build.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);

/** Each in a folder of its own, beside its binding.gyp. */
const addons = [
  { folder: here, name: 'fusedev', what: 'the FUSE addon' },
  { folder: join(here, '../../server/addon'), name: 'hostfs', what: "the server's addon for directories" },
];

/** A build older than its source would still load, and lack what the source has gained. */
function dropOldBuild({ folder, name }) {
  const built = join(folder, 'build', 'Release', `${name}.node`);
  if (!existsSync(built)) return;
  const sources = readdirSync(folder).filter((file) => /\.(c|h|gyp)$/.test(file));
  const newest = Math.max(...sources.map((file) => statSync(join(folder, file)).mtimeMs));
  if (statSync(built).mtimeMs < newest) rmSync(join(folder, 'build'), { recursive: true, force: true });
}

function loads({ folder, name }) {
  // Beside the chooser of prebuilt ones the built one itself: the chooser is a dependency, which may not be there yet.
  const ways = [
    () => require('node-gyp-build')(folder),
    () => require(join(folder, 'build', 'Release', `${name}.node`)),
  ];
  return ways.some((load) => {
    try {
      load();
      return true;
    } catch {
      return false; // nothing built yet, or for another system: building it is what comes next
    }
  });
}

/** npm names its own node-gyp in the environment of install scripts; run by hand, this looks where npm keeps it. */
function nodeGyp() {
  const fromNpm = process.env.npm_config_node_gyp;
  if (fromNpm !== undefined && existsSync(fromNpm)) return fromNpm;
  const prefix = dirname(dirname(process.execPath));
  const places = [
    join(prefix, 'lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js'),
    join(prefix, 'share/nodejs/node-gyp/bin/node-gyp.js'),
    join(prefix, 'share/nodejs/npm/node_modules/node-gyp/bin/node-gyp.js'),
  ];
  return places.find((place) => existsSync(place));
}

function environment() {
  const env = { ...process.env };
  const prefix = dirname(dirname(process.execPath));
  if (env.npm_config_nodedir === undefined && existsSync(join(prefix, 'include/node/node_api.h'))) {
    env.npm_config_nodedir = prefix;
  }
  env.PATH = [join(here, '../../../node_modules/.bin'), env.PATH ?? ''].join(delimiter);
  return env;
}

function has(command) {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;
}

function fail(what, why) {
  console.error(`ninefs: ${what} cannot be built: ${why}`);
  process.exit(1);
}

function build(addon) {
  const { folder, what } = addon;
  for (const [commands, missing] of [
    [['cc', 'gcc', 'clang'], 'no C compiler (on Debian: apt-get install build-essential)'],
    [['make'], 'no make (on Debian: apt-get install build-essential)'],
    [['python3'], 'no python3, which node-gyp needs (on Debian: apt-get install python3)'],
  ]) {
    if (!commands.some(has)) fail(what, missing);
  }
  const gyp = nodeGyp();
  if (gyp === undefined) fail(what, 'no node-gyp beside this Node (run it through npm: npm rebuild)');
  const built = spawnSync(process.execPath, [gyp, 'rebuild'], { cwd: folder, env: environment(), encoding: 'utf8' });
  if (built.status === 0 && loads(addon)) return;
  console.error(`${built.stdout ?? ''}${built.stderr ?? ''}`);
  fail(what, 'node-gyp failed, see above');
}

if (process.platform === 'linux') {
  for (const addon of addons) {
    dropOldBuild(addon);
    if (!loads(addon)) build(addon);
  }
}
