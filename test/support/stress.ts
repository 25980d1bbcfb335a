// Other people's programs that wear a file system out and look at what they get back: which there are, how they are run so
// that each gets round within its time, and what they say they did. Guarantees: a bounded time, after which a program
// is killed with its children; a program that skipped its work, or did none, has failed. Must not touch the directory
// itself: the programs do, as other processes.

import { execFileSync } from 'node:child_process';
import { missingPrograms } from './debian.ts';
import { shell } from './shell.ts';

/** Stressors of stress-ng's class that cannot show anything here. */
export const EXCLUDED: Readonly<Record<string, string>> = {
  'bind-mount': 'it only mounts: bind mounts of / in a namespace of its own',
  binderfs: 'it only mounts: binderfs',
  eventfd: 'it has no files in the directory',
  fanotify: 'it marks every mount of the machine and counts what whoever does there',
  fiemap: 'FS_IOC_FIEMAP is not passed on by FUSE, the kernel answers EOPNOTSUPP',
  getdent: 'it lists /proc, /sys, /dev and /, never the directory',
  procfs: 'it reads /proc',
  verity: 'FS_IOC_ENABLE_VERITY needs the kernel to read the file by itself: ENOTTY',
};

/** Stressors of other classes that work on files in the directory. */
const MORE = ['aiol', 'io-uring', 'mmap', 'msync', 'readahead', 'revio', 'seek', 'sendfile', 'splice'];

/** Those that count nothing where there are no inode flags to be set: the rest of what they do is done all the same. */
const COUNTLESS = new Set(['inode-flags']);

/** Sizes that leave time for the work: most stressors first write a file of a gigabyte. */
const FLAGS: Readonly<Record<string, string>> = {
  'copy-file': '--copy-file-bytes 128m', // the least that it takes; the file is sparse
  dentry: '--dentries 256',
  dirdeep: '--dirdeep-files 1',
  fallocate: '--fallocate-bytes 1m',
  fstat: '--fstat-dir .',
  hdd: '--hdd-bytes 8m',
  iomix: '--iomix-bytes 2m',
  mmap: '--mmap-bytes 2m --mmap-file',
  msync: '--msync-bytes 1m',
  readahead: '--readahead-bytes 1m',
  revio: '--revio-bytes 1m',
  seek: '--seek-size 1m',
  sendfile: '--sendfile-size 1m',
  'sync-file': '--sync-file-bytes 1m',
};

/** Those that are given rounds instead of a time. */
const ROUNDS: Readonly<Record<string, number>> = {
  // it tries every character first, and counts none of that
  filename: 20,
  // where fallocate(2) is refused it writes instead, and takes its own breaking off when the time is up for a success
  fsize: 20,
  // a round maps every page by itself: longer than the time on a busy machine, and then it has done nothing
  mmap: 2,
  // a round is 40,000 calls: 4096 attributes, each set in five ways, read, listed and removed
  xattr: 1,
};

/** Seconds beyond its time for a program to clean up: thousands of files on a busy machine. */
const GRACE = 180;
const MOST_FOR_ROUNDS = 300;

export interface StressProgram {
  name: string;
  /** What has to be installed. */
  program: string;
  /** What it did, in a line; fails with what it said. */
  run(dir: string): Promise<string>;
}

async function program(dir: string, seconds: number, command: string): Promise<string> {
  const limit = seconds + GRACE;
  // a group of its own, which is killed as one
  const script = `cd '${dir}' && PATH="$PATH:/usr/sbin:/sbin" exec timeout -k 10 ${limit} ${command} 2>&1`;
  const { code, stdout } = await shell(script, { timeout: (limit + 20) * 1000 });
  if (code !== 0) throw new Error(`${command}: exit code ${code}\n${stdout.slice(-4000)}`);
  return stdout;
}

const stressor = (name: string, seconds: number, workers: number): StressProgram => ({
  name: `stress-ng --${name}`,
  program: 'stress-ng',
  async run(dir) {
    const rounds = ROUNDS[name];
    const time = rounds === undefined ? seconds : MOST_FOR_ROUNDS;
    const length = `-t ${time}${rounds === undefined ? '' : ` --${name}-ops ${rounds}`}`;
    const flags = `--${name} ${workers} ${FLAGS[name] ?? ''} ${length}`;
    // a relative path: io-uring looks for its file, whose name is gone, and forgives ENOTDIR but not ENOENT
    const said = await program(dir, time, `stress-ng ${flags} --verify --metrics --temp-path .`);
    const wrong = said.split('\n').filter((line) => /\b(fail|error|warn): |skipping/.test(line));
    if (wrong.length > 0) throw new Error(`${wrong.join('\n')}\n${said.slice(-2000)}`);
    // stressor, operations, real time: the first line of figures
    const figures = new RegExp(`metrc: \\[\\d+\\] ${name} +(\\d+) +([\\d.]+)`).exec(said);
    if (figures === null) throw new Error(`no figures: ${said.slice(-2000)}`);
    const [, count = '', took = ''] = figures;
    if (Number(count) === 0 && !COUNTLESS.has(name)) throw new Error(`it did nothing in ${took} s: ${said}`);
    return `${count} operations in ${took} s`;
  },
});

/** All stressors of files that the installed stress-ng has; those that are new to us too. */
export function stressors(seconds: number, workers: number): StressProgram[] {
  if (missingPrograms('stress-ng') !== null) return [];
  const said = execFileSync('stress-ng', ['--class', 'filesystem?'], { encoding: 'utf8', timeout: 20_000 });
  const names = said.replace(/^.*:/, '').trim().split(/\s+/);
  const wanted = [...names, ...MORE].filter((name) => EXCLUDED[name] === undefined);
  return [...new Set(wanted)].sort().map((name) => stressor(name, seconds, workers));
}

export const dbench = (clients: number, seconds: number): StressProgram => ({
  name: `dbench, ${clients} clients`,
  program: 'dbench',
  async run(dir) {
    const said = await program(dir, seconds, `dbench -D '${dir}' -t ${seconds} ${clients}`);
    await program(dir, 0, `rm -r '${dir}/clients'`); // it leaves its empty directories everywhere
    const [figures] = /^Throughput .*$/m.exec(said) ?? [];
    if (figures === undefined || /\b(failed|ERROR)\b/.test(said)) throw new Error(said.slice(-4000));
    const count = [...said.matchAll(/^ [A-Z]\w+ +(\d+) /gm)].reduce((sum, [, one]) => sum + Number(one), 0);
    return `${count} operations, ${figures}`;
  },
});

/** Blocks and files; bonnie++ reads back what it wrote, and fails by its exit code. */
export const bonnie = (mebibytes: number, files: number): StressProgram => ({
  name: `bonnie++ -f, ${mebibytes} MiB`,
  program: 'bonnie++',
  async run(dir) {
    const flags = `-q -f -d '${dir}' -s ${mebibytes} -r ${mebibytes / 2} -n ${files} -u 0:0 -m ninefs`;
    const said = await program(dir, 600, `bonnie++ ${flags}`);
    const csv = said.split('\n').find((line) => line.includes(',ninefs,'));
    if (csv === undefined) throw new Error(said.slice(-4000));
    return csv;
  },
});

/** Random reads and writes of mixed sizes, every block verified by its crc32c when it is read and once more at the end. */
export const fio = (engine: string, mebibytes: number, flags = ''): StressProgram => ({
  name: `fio verify, ${engine}${flags === '' ? '' : ` ${flags}`}`,
  program: 'fio',
  async run(dir) {
    const job = [
      `--name=${engine} --directory='${dir}' --ioengine=${engine} --rw=randrw --bsrange=4k-128k --blockalign=4k`,
      `--numjobs=4 --size=${mebibytes}m --iodepth=8 --fallocate=none --randseed=11 --group_reporting ${flags}`,
      '--verify=crc32c --verify_fatal=1 --do_verify=1 --verify_backlog=64 --verify_state_save=0 --unlink=1',
    ];
    const said = await program(dir, 600, `fio ${job.join(' ')}`);
    const figures = [...said.matchAll(/^ {2,3}(READ|WRITE): bw=(\S+)/gm)].map(([, what, rate]) => `${what} ${rate}`);
    if (figures.length === 0) throw new Error(said.slice(-4000));
    return figures.join(', ').replaceAll(/,$/g, '');
  },
});
