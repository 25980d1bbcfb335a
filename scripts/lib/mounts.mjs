// Two mounts of one server in one process, the one with intr=off, the other with intr=auto: they share compiled code and
// memory, so that what differs is what they do. Says `ready`, and unmounts when its standard input ends.
// mounts.mjs ADDRESS OFF AUTO

import { mount } from '../../dist/bridge/mount.js';
import { parseAddress } from '../../dist/transport/address.js';

const [address, off, auto] = process.argv.slice(2);
const settings = { address: parseAddress(address) };
const mounts = [];
try {
  mounts.push(await mount({ ...settings, mountpoint: off, intr: 'off' }));
  mounts.push(await mount({ ...settings, mountpoint: auto, intr: 'auto' }));
  console.log('ready');
  await new Promise((resolve) => process.stdin.resume().once('end', resolve));
} finally {
  for (const each of mounts) await each.unmount({ lazy: true });
}
