// The client alone: blocks of getattrs with and without something that could cancel them, one after the other in turn, so
// that what drifts hits all. Prints one JSON line: for each way the seconds of its blocks, in the order of the rounds.
// getattrs.mjs ADDRESS FILE ROUNDS EACH WIDTH

import { connect } from '../../dist/client/session.js';
import { Abort } from '../../dist/common/abort.js';
import { parseAddress } from '../../dist/transport/address.js';

const [address, file, ...numbers] = process.argv.slice(2);
const [rounds, each, width] = numbers.map(Number);
const session = await connect(parseAddress(address));
const root = await session.dialect.attach('bench', '', process.getuid());
const fid = await session.dialect.walk(root, [file]);

/** The ways: each makes the signal of one call. Never aborted. */
const { signal } = new AbortController();
const ways = {
  without: () => undefined,
  // what a mount does for every request of the kernel
  own: () => new Abort(),
  // what a user of the library does who can be told to stop
  shared: () => signal,
};

async function block(signalOf) {
  const begin = performance.now();
  let left = each;
  const worker = async () => {
    while (left-- > 0) await session.dialect.stat(fid, signalOf());
  };
  await Promise.all(Array.from({ length: width }, worker));
  return (performance.now() - begin) / 1000;
}

const names = Object.keys(ways);
for (let i = 0; i < 4; i++) for (const name of names) await block(ways[name]); // the first ones pay for the compiler
const seconds = Object.fromEntries(names.map((name) => [name, []]));
for (let round = 0; round < rounds; round++) {
  // each comes first, second, ... equally often
  for (let i = 0; i < names.length; i++) {
    const name = names[(i + round) % names.length];
    seconds[name].push(await block(ways[name]));
  }
}
console.log(JSON.stringify(seconds));
session.close();
