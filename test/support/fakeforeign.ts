// Stand-ins for other people's servers, for tests of how these are started: shell scripts that take the arguments of
// the programs that they are named after and have `ninefs serve` do the work. Each leaves its arguments and its process
// id in files beside it. They prove nothing about the servers themselves.

import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ninefsPath } from './cli.ts';

const PREAMBLE = `#!/bin/sh
printf '%s\\n' "$@" >"$0.args"
echo $$ >"$0.pid"
serve() {
  exec '${process.execPath}' '${ninefsPath}' serve "$@"
}
`;

/** The relay of a stand-in for u9fs: what it serves is a server that the test has started on this socket. */
const RELAY = 'const s=require("net").connect(process.argv[1]);process.stdin.pipe(s);s.pipe(process.stdout)';

const scripts = {
  /** A later diod: it never goes into the background, and refuses -f. */
  diod: `
usage() {
  printf 'Usage: diod [OPTIONS]\\n   -l,--listen IP:PORT\\n   -S,--allsquash\\n' >&2
  exit 1
}
while getopts 'nSU:l:e:c:L:' flag; do
  case $flag in
    l) port=\${OPTARG#*:} ;;
    e) root=$OPTARG ;;
    [?]) usage ;;
  esac
done
serve "$root" --listen "tcp!127.0.0.1!$port" --dialects 9P2000.L
`,
  u9fs: `
exec '${process.execPath}' -e '${RELAY}' "$0.socket"
`,
  ufs: `
serve "$4" --listen "tcp!127.0.0.1!\${2#*:}" --dialects 9P2000.u,9P2000
`,
  /** It leaves its process group and goes into the background, as plan9port's programs do. */
  ramfs: `
set -m
'${process.execPath}' '${ninefsPath}' serve memory: --listen "unix!$NAMESPACE/ramfs" --dialects 9P2000 &
echo $! >"$0.pid"
exit 0
`,
  p9ufs: `
serve "$2" --listen "tcp!127.0.0.1!\${3#*:}" --dialects 9P2000.L
`,
} as const;

export type FakeName = keyof typeof scripts;

export interface Fake {
  readonly path: string;
  /** Of its last start. */
  args(): Promise<string[]>;
  pid(): Promise<number>;
}

/** Writes the stand-in into a directory. */
export async function fakeForeign(dir: string, name: FakeName): Promise<Fake> {
  const path = join(dir, name);
  await writeFile(path, PREAMBLE + scripts[name].trimStart());
  await chmod(path, 0o755);
  const read = (suffix: string) => readFile(`${path}.${suffix}`, 'utf8');
  return {
    path,
    args: async () => (await read('args')).split('\n').slice(0, -1),
    pid: async () => Number(await read('pid')),
  };
}
