// A mount, of the embedded server unless told otherwise, with somebody who reads along on the wire: every message of both sides, decoded, in its
// order. For tests of what a client sends for what a program does.
// It changes what the test tells it to and nothing else; what it could not decode fails the test that asks for what was said.

import { once } from 'node:events';
import { chmod, mkdir } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { GivenSettings } from '../../src/bridge/settings.ts';
import { memoryTree, type Serving, serve, type Tree } from '../../src/server/server.ts';
import type { Users } from '../../src/server/users.ts';
import { type Address, parseAddress } from '../../src/transport/address.ts';
import { type Codec, dotlCodec, dotuCodec, legacyCodec } from '../../src/wire/p9/codec.ts';
import type { Message, MessageName } from '../../src/wire/p9/messages.ts';
import { type Mounted, mounted } from './mounted.ts';
import { type ShellResult, shell } from './shell.ts';
import { frames } from './tamper.ts';
import { makeTempDir, removeTempDir } from './tempdir.ts';
import { until } from './until.ts';

type Of<N extends MessageName> = Extract<Message, { type: N }>;

const codecs: Readonly<Record<string, Codec>> = { '9P2000.L': dotlCodec, '9P2000.u': dotuCodec, '9P2000': legacyCodec };

export interface Heard {
  readonly from: 'client' | 'server';
  readonly message: Message;
  /** Bytes of the frame. */
  readonly size: number;
}

/** All that was said, or a part of it. */
export class Talk {
  readonly heard: readonly Heard[];

  constructor(heard: readonly Heard[]) {
    this.heard = heard;
  }

  /** The messages of these types. */
  all<N extends MessageName>(...types: N[]): Of<N>[] {
    return this.heard.flatMap(({ message }) => (types.some((type) => type === message.type) ? [message as Of<N>] : []));
  }

  /** What the client asked, by its types in their order. */
  get asked(): string[] {
    return this.heard.filter(({ from }) => from === 'client').map(({ message }) => message.type);
  }
}

export interface Tapped {
  readonly mounted: Mounted;
  readonly mountpoint: string;
  /** Of the embedded server. */
  readonly serving: Serving | undefined;
  /** From the beginning. */
  readonly talk: Talk;
  /** Runs a shell command in the mount's root, and what was said meanwhile. */
  during(script: string, options?: { uid?: number; gid?: number }): Promise<ShellResult & { talk: Talk }>;
  /** Checks for leaks, unmounts, ends the server. */
  end(): Promise<void>;
}

/** A message of the client as the server is to get it; or what it gets for an answer, while the server hears nothing. */
export type Meddle = (message: Message) => Message | { refuse: number };

export interface TapOptions extends Partial<Omit<GivenSettings, 'mountpoint' | 'address'>> {
  tree?: Tree | ((dir: string) => Tree);
  users?: Users;
  meddle?: Meddle;
  /** Another server than the embedded one, for a directory. */
  peer?: (dir: string) => Promise<{ address: string; aname: string; stop(): Promise<void> }>;
}

async function listen(target: Address, heard: Heard[], faults: string[], meddle: Meddle | undefined) {
  if (target.kind !== 'tcp') throw new Error('only tcp');
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const peer = connect(target.port, target.host);
    let codec = dotlCodec;
    const listenTo = (from: Heard['from'], socket: Socket) =>
      frames(socket, (frame) => {
        try {
          const message = codec.decode(Buffer.from(frame), 0, frame.length);
          heard.push({ from, message, size: frame.length });
          if (message.type === 'Rversion') codec = codecs[message.version] ?? codec;
          if (from === 'client' && meddle !== undefined) pass(meddle(message), frame, message);
        } catch (error) {
          faults.push(`from the ${from}: ${(error as Error).message}`);
        }
      });
    const say = (socket: Socket, { type, tag, ...body }: Message) => {
      const { head, payload } = codec.encode(type, tag, body as never);
      socket.write(head);
      if (payload !== undefined) socket.write(payload);
    };
    const pass = (meddled: ReturnType<Meddle>, frame: Buffer, message: Message) => {
      if (meddled === message) peer.write(frame);
      else if ('refuse' in meddled) say(client, { type: 'Rlerror', tag: message.tag, ecode: meddled.refuse });
      else say(peer, meddled);
    };
    listenTo('client', client);
    listenTo('server', peer);
    if (meddle === undefined) client.pipe(peer);
    peer.pipe(client);
    for (const socket of [client, peer]) {
      open.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        open.delete(socket);
        client.destroy();
        peer.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('no port');
  return {
    address: { kind: 'tcp', host: '127.0.0.1', port: bound.port } as const,
    async close() {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

export async function tapped(label: string, options: TapOptions = {}): Promise<Tapped> {
  const { tree: given = memoryTree(), users, meddle, peer, ...settings } = options;
  const dir = await makeTempDir(label);
  await mkdir(join(dir, 'export'));
  await chmod(dir, 0o711); // other users are to reach the mount
  const theirs = await peer?.(join(dir, 'export'));
  const address = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
  const tree = () => (typeof given === 'function' ? given(join(dir, 'export')) : given);
  const serving =
    theirs === undefined ? await serve({ address, tree: tree(), ...(users && { accounts: users }) }) : undefined;
  const stop = async () => {
    await serving?.close();
    await theirs?.stop();
  };
  const heard: Heard[] = [];
  const faults: string[] = [];
  const target = serving?.address ?? parseAddress(theirs?.address ?? '');
  const tap = await listen(target, heard, faults, meddle);
  const since = (from: number) => {
    if (faults.length > 0) throw new Error(faults.join('; '));
    return new Talk(heard.slice(from));
  };
  let live: Mounted;
  try {
    live = await mounted(dir, { address: tap.address, ...(theirs && { aname: theirs.aname }), ...settings });
  } catch (error) {
    await tap.close();
    await stop();
    await removeTempDir(dir);
    throw error;
  }
  return {
    mounted: live,
    mountpoint: live.mountpoint,
    serving,
    get talk() {
      return since(0);
    },
    async during(script, as = {}) {
      const from = heard.length;
      // not by the cwd option: spawn would wait for the mount, which this process serves
      const result = await shell(`cd ${live.mountpoint} && ${script}`, { timeout: 100_000, ...as });
      await live.quiet();
      return { ...result, talk: since(from) };
    },
    async end() {
      try {
        await live.end();
        since(0);
        await until('the server to have let everything go', () => (serving?.stats.connections.length ?? 0) === 0);
      } finally {
        await tap.close();
        await stop();
        await removeTempDir(dir);
      }
    },
  };
}
