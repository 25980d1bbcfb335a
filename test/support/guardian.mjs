// Runs a program in the session of this process and ends the whole session when stdin ends: for programs that go into
// the background and leave their process group, as plan9port's do. Whoever starts this one starts it as the leader of a
// session and holds the other end of its stdin, so that nothing outlives that process.
// Must not: signal a process of another session.

import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Between two looks at what is left: no event tells of the end of a process that is no child. */
const PAUSE = 10;

/** Whether a process is alive and in this session; proc(5) has the session in the fourth field behind the name. */
function isOurs(pid) {
  try {
    const [state, , , session] = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1).split(' ');
    return state !== 'Z' && Number(session) === process.pid;
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return false; // it has ended meanwhile
    throw error;
  }
}

function others() {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && isOurs(pid));
}

async function end(code) {
  for (let left = others(); left.length > 0; left = others()) {
    for (const pid of left) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if (error.code !== 'ESRCH') throw error;
      }
    }
    await sleep(PAUSE);
  }
  process.exit(code);
}

if (!isOurs(process.pid)) {
  console.error('guardian: it is not the leader of its session');
  process.exit(2);
}
const [program, ...args] = process.argv.slice(2);
process.stdin.resume().once('end', () => end(0));
const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
child.once('error', (error) => {
  console.error(`guardian: ${error.message}`);
  end(1);
});
// one that has gone into the background has ended well; nothing is left of one that failed
child.once('exit', (code) => {
  if (code !== 0) end(1);
});
