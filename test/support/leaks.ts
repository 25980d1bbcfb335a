// The leak check of the client's side, for the end of every test: no tag, no queued request, nothing in quarantine, no fid
// beyond those that the test knows of, no receive memory lent. What is still on its way is given a bounded time to arrive.

import { expect } from 'vitest';
import type { Connection } from '../../src/client/connection.ts';
import { turn } from './scripted.ts';

/** How many turns of the event loop the last replies may take. */
const TURNS = 200;

const memory = { inUse: 0, waiting: 0 };
const chunks = { inFlight: 0, waiting: 0 };
const idle = { tags: 0, reserveTags: 0, queued: 0, quarantine: 0, chunks, pool: { ...memory, streams: memory } };

/** `live`: fids that the test has and has not clunked. */
export async function expectIdle(client: Connection, live: number): Promise<void> {
  const wanted = { ...idle, fids: { live, quarantine: 0 } };
  for (let i = 0; i < TURNS; i++) {
    const { tags, reserveTags, queued, quarantine, fids, pool } = client.stats;
    if (tags + reserveTags + queued + quarantine + fids.quarantine + pool.inUse + pool.waiting === 0) break;
    await turn();
  }
  expect(client.error).toBeUndefined();
  expect(client.stats).toMatchObject(wanted);
}

/** It ended with such an error, and everything that was on its way with it. */
export async function expectEnded(client: Connection, error: new (...args: never[]) => Error): Promise<void> {
  expect(await client.closed).toBeInstanceOf(error);
  await turn();
  expect(client.stats).toMatchObject(idle);
  await expect(client.requests.call('Tstatfs', { fid: 0 })).rejects.toBe(client.error);
}

/** Ends it, if it lives, and what was still on its way with it. */
export async function expectNothingAfterEnd(client: Connection): Promise<void> {
  client.close();
  await turn();
  expect(client.stats).toMatchObject(idle);
}

/** The call was aborted and had no effect. */
export async function expectCancelled(call: Promise<unknown>, code = 'EINTR'): Promise<void> {
  await expect(call).rejects.toMatchObject({ name: 'CancelledError', code });
}
