// The client alone, without FUSE: what a mount can at best be. Prints one JSON line: seconds a getattr one at a time and
// sixteen at a time, and bytes a second of a sequential read in 1 MiB pieces, four of them on their way.
// rawclient.mjs ADDRESS FILE COUNT

import { read } from '../../dist/client/io.js';
import { connect } from '../../dist/client/session.js';
import { parseAddress } from '../../dist/transport/address.js';

const [, , address, file, count] = process.argv;
const MIB = 1 << 20;
const session = await connect(parseAddress(address));
const root = await session.dialect.attach('bench', '', process.getuid());
const fid = await session.dialect.walk(root, [file]);

async function getattrs(total, width) {
  const begin = performance.now();
  let left = total;
  const worker = async () => {
    while (left-- > 0) await session.dialect.stat(fid);
  };
  await Promise.all(Array.from({ length: width }, worker));
  return (performance.now() - begin) / 1000 / total;
}

async function readAll(width) {
  const { size } = await session.dialect.stat(fid);
  const open = await session.dialect.walk(fid, []);
  await session.dialect.open(open, 0);
  const begin = performance.now();
  let next = 0;
  const worker = async () => {
    while (next < size) {
      const at = next;
      next += MIB;
      const { release } = await read(session.calls, open, at, Math.min(MIB, size - at), { whole: true, end: size });
      release();
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
  return size / ((performance.now() - begin) / 1000);
}

await getattrs(Number(count) / 4, 1); // the first ones pay for the compiler
const one = await getattrs(Number(count), 1);
const sixteen = await getattrs(Number(count), 16);
await readAll(4);
const rate = await readAll(4);
console.log(JSON.stringify({ one, sixteen, rate }));
session.close();
