// The stage of tests that look at one request on the wire: for each test a client that has attached once to a scripted server
// (scripted.ts), by the names that those tests use all the time. They are bindings of this module, so that they are those of
// the test that runs. Every test ends with the look at what the end of the connection has left.

import { afterEach, beforeEach, vi } from 'vitest';
import { expectNothingAfterEnd } from './leaks.ts';
import { type Attached, attached, type ScriptedOptions } from './scripted.ts';

export let { client, server, calls, root } = {} as Attached;

/** Another client, for a test that needs other options. */
export async function begin(options: ScriptedOptions = {}): Promise<void> {
  client?.close();
  ({ client, server, calls, root } = await attached(options));
}

export function attachedForEach(): void {
  beforeEach(() => begin());
  afterEach(async () => {
    vi.useRealTimers();
    await expectNothingAfterEnd(client);
  });
}
