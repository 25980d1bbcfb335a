// The stage of tests that look at what a file system call becomes on the wire: for each test a bridge over a server of made-up
// files (bridged.ts), whose answers are given by rules, and what those tests say most often in a word.
// Every test ends with the check for leaks, unless it has ended the connection.

import { afterEach, beforeEach, vi } from 'vitest';
import { ROOT } from '../../src/bridge/nodes/node.ts';
import type { FileHandle, NodeId } from '../../src/common/brand.ts';
import { OPEN } from '../../src/wire/p9/constants.ts';
import type { Message } from '../../src/wire/p9/messages.ts';
import { type Bridged, bridged, caller } from './bridged.ts';
import { expectIdle, expectNothingAfterEnd } from './leaks.ts';
import { type ScriptedOptions, turn } from './scripted.ts';

/** By type; what returns anything but true is answered as usual. */
type Rules = { [N in Message['type']]?: (message: Extract<Message, { type: N }>) => unknown };

export interface BridgeStage {
  readonly at: Bridged;
  lookup(name: string, parent?: NodeId): Promise<NodeId>;
  /** Opens; released when the test is over. */
  open(node: NodeId, flags?: number): Promise<FileHandle>;
  /** To be released when the test is over. */
  opened(node: NodeId, fh: FileHandle): void;
  /** How the server answers from now on. */
  answer(rules: Rules): void;
  /** A rule: that errno. */
  refuse(ecode: number): (message: Message) => true;
  /** What has come of these types, in its order. */
  got<N extends Message['type']>(...types: N[]): Extract<Message, { type: N }>[];
  /** Another server, for a test that needs other options. */
  again(options: ScriptedOptions, facts?: { settled: boolean }): Promise<void>;
}

/** `settled`: that the server's fids mean files is known already. */
export function bridgeStage({ settled = true } = {}): BridgeStage {
  let at: Bridged;
  const held: [NodeId, FileHandle][] = [];

  beforeEach(async () => {
    at = await bridged();
    if (settled) at.bridge.session.fidFacts.settle('bound', true);
  });
  afterEach(async () => {
    vi.useRealTimers();
    if (at.client.error === undefined) {
      for (const [node, fh] of held.splice(0)) at.ops.release(caller(), node, fh);
      for (let id = 2; id < 30; id++) at.ops.forget(id as NodeId, 1000);
      await turn();
      await expectIdle(at.client, 1);
    }
    held.length = 0;
    await expectNothingAfterEnd(at.client);
  });

  return {
    get at() {
      return at;
    },
    async lookup(name, parent = ROOT) {
      return (await at.ops.lookup(caller(), parent, name)).nodeid as NodeId;
    },
    async open(node, flags = OPEN.RDWR) {
      const { fh } = await at.ops.open(caller(), node, flags, false);
      held.push([node, fh]);
      return fh;
    },
    opened: (node, fh) => void held.push([node, fh]),
    answer(rules) {
      at.files.before = (message) => {
        const rule = rules[message.type] as ((message: Message) => unknown) | undefined;
        return rule?.(message) === true;
      };
    },
    refuse: (ecode) => (message) => {
      at.files.refuse(message, ecode);
      return true;
    },
    got: (...types) => at.files.received.filter(({ type }) => types.some((each) => each === type)) as never,
    async again(options, facts = { settled }) {
      await expectNothingAfterEnd(at.client);
      at = await bridged(options);
      if (facts.settled) at.bridge.session.fidFacts.settle('bound', true);
    },
  };
}
