// What the benchmark is asked for: its options, checked before anything is measured. Wrong usage is one line and exit 2.

import { parseArgs } from 'node:util';
import { say } from './figures.mjs';
import { bindfs, custom, ninefs, sshfs } from './peers.mjs';

const HELP = `usage: scripts/bench [options]
       scripts/bench --pool [options]         receive memory under 64 readers, and 64 interrupts with none left
       scripts/bench --cancel-cost [options]  what cancellation costs where nothing is cancelled

  --peer NAME=COMMAND  measure another mount too; {dir} and {mnt} stand for the directory and the mountpoint
  --only NAME,...      these peers only
  --cache MODE         the cache mode of ninefs: none, auto or loose (default auto)
  --scale N            divide all sizes by N, 64 at the most, for a quick look
  --rounds N           do it all N times and show the median (default 1)
  --json               the figures as JSON
  --help               this text`;

const OPTIONS = {
  pool: { type: 'boolean', default: false },
  'cancel-cost': { type: 'boolean', default: false },
  peer: { type: 'string', multiple: true, default: [] },
  only: { type: 'string' },
  cache: { type: 'string', default: 'auto' },
  scale: { type: 'string', default: '1' },
  rounds: { type: 'string', default: '1' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
};

function wrong(text) {
  say(`${text}; see scripts/bench --help`);
  process.exit(2);
}

function given() {
  try {
    return parseArgs({ options: OPTIONS }).values;
  } catch (error) {
    return wrong(error.message.split('. ')[0]);
  }
}

function number(name, text, most) {
  const value = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  return value >= 1 && value <= most ? value : wrong(`--${name} ${text}: it takes a number from 1 to ${most}`);
}

/** Those that are to be measured. */
function chosen({ peer, only, cache }) {
  if (!['none', 'auto', 'loose'].includes(cache)) wrong(`--cache ${cache}: it takes none, auto or loose`);
  for (const text of peer) {
    if (!/^[\w.-]+=./.test(text)) wrong(`--peer ${text}: it takes NAME=COMMAND, with {dir} and {mnt} in the command`);
  }
  const all = [ninefs('ninefs', ['-o', `cache=${cache}`]), sshfs, bindfs, ...peer.map(custom)];
  if (only === undefined) return all;
  const names = all.map(({ name }) => name);
  const strange = only.split(',').find((name) => !names.includes(name));
  if (strange !== undefined) wrong(`--only ${only}: there is no '${strange}' among ${names.join(', ')}`);
  return all.filter(({ name }) => only.split(',').includes(name));
}

/** { special, peers, scale, rounds, json }; `special` is the file of another question than "how fast". */
export function options() {
  const values = given();
  if (values.help) {
    console.log(HELP);
    process.exit(0);
  }
  if (values.pool && values['cancel-cost']) wrong('--pool and --cancel-cost are two benchmarks');
  return {
    special: values.pool ? './pool.mjs' : values['cancel-cost'] ? './cancel.mjs' : undefined,
    peers: chosen(values),
    scale: number('scale', values.scale, 64),
    rounds: number('rounds', values.rounds, 1000),
    json: values.json,
  };
}
