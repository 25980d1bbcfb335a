// What the benchmark mounts: each peer knows how to put a directory on a mountpoint, and which process serves the mount.
// Every process that is started here is ended by stop(), and every mount undone.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const NINEFS = fileURLToPath(new URL('../../bin/ninefs.js', import.meta.url));
const INETD = fileURLToPath(new URL('inetd.py', import.meta.url));
const SFTP_SERVER = '/usr/lib/openssh/sftp-server';
/** Bound of every wait here, seconds. */
const PATIENCE = 30;

const has = (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;

/** Starts a server and yields its first line of output. Its standard input stays open until it is stopped. */
export async function server(command, args) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const line = await new Promise((resolve, reject) => {
    const clock = setTimeout(
      () => reject(new Error(`${command}: no first line within ${PATIENCE} s`)),
      PATIENCE * 1000,
    );
    lines.once('line', (text) => {
      clearTimeout(clock);
      resolve(text);
    });
    child.once('exit', (code) => reject(new Error(`${command} ended with ${code}`)));
  });
  return { line, stop: () => child.kill('SIGTERM') };
}

function run(command, args) {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: PATIENCE * 1000 });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr.trim() || `exit ${status}`}`);
}

/** The processes whose command line holds a mountpoint: the daemon that serves it. */
function daemonOf(mountpoint) {
  const { stdout } = spawnSync('pgrep', ['-f', '--', mountpoint], { encoding: 'utf8' });
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map(Number)
    .filter((pid) => pid !== process.pid);
}

/** User and system seconds, and the largest resident size in MiB, of processes so far. */
export function usage(pids) {
  let cpu = 0;
  let rss = 0;
  for (const pid of pids) {
    if (!existsSync(`/proc/${pid}/stat`)) continue;
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /, '')
      .split(' ');
    cpu += (Number(fields[11]) + Number(fields[12])) / 100;
    const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
    rss = Math.max(rss, Number(peak?.[1] ?? 0) / 1024);
  }
  return { cpu, rss };
}

export function unmount(mountpoint) {
  for (const args of [[mountpoint], ['-l', mountpoint]]) {
    if (spawnSync('umount', args, { timeout: PATIENCE * 1000 }).status === 0) return;
    if (spawnSync('fusermount3', ['-u', ...args], { timeout: PATIENCE * 1000 }).status === 0) return;
  }
}

/**
 * A peer: { name, start(dir) -> { mount(mountpoint) -> pids, stop(), address? } }. Here `dir` may be any tree of the embedded
 * server, and mount() takes options more.
 */
export function ninefs(name, options = []) {
  return {
    name,
    async start(dir) {
      const { line, stop } = await server(process.execPath, [
        NINEFS,
        'serve',
        dir,
        '--listen',
        'tcp!127.0.0.1!0',
        '--loglevel',
        'warn',
      ]);
      const address = line.replace('listening on ', '');
      return {
        address,
        stop,
        mount(mountpoint, more = []) {
          run(process.execPath, [NINEFS, 'mount', address, mountpoint, ...options, ...more]);
          return daemonOf(mountpoint);
        },
      };
    },
  };
}

export const sshfs = {
  name: 'sshfs',
  missing: () => !has('sshfs') || !existsSync(SFTP_SERVER),
  async start(dir) {
    const { line, stop } = await server('python3', [INETD, SFTP_SERVER]);
    return {
      stop,
      mount(mountpoint) {
        run('sshfs', [`localhost:${dir}`, mountpoint, '-o', `directport=${line}`]);
        return daemonOf(mountpoint);
      },
    };
  },
};

export const bindfs = {
  name: 'bindfs',
  missing: () => !has('bindfs'),
  async start(dir) {
    return {
      stop() {},
      mount(mountpoint) {
        run('bindfs', [dir, mountpoint]);
        return daemonOf(mountpoint);
      },
    };
  },
};

/** `NAME=COMMAND`: a shell command in which {dir} and {mnt} stand for the directory and the mountpoint. */
export function custom(text) {
  const at = text.indexOf('=');
  const command = text.slice(at + 1);
  return {
    name: text.slice(0, at),
    async start(dir) {
      return {
        stop() {},
        mount(mountpoint) {
          run('sh', ['-c', command.replaceAll('{dir}', dir).replaceAll('{mnt}', mountpoint)]);
          return daemonOf(mountpoint);
        },
      };
    },
  };
}
