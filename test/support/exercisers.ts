// Runs the exercisers of test/posix/exercisers, always as a child process: the directories may be mounts that this very
// process serves. Guarantees: a bounded time; a failure has what the exerciser says: the seed, the operation and those
// before.

import { join } from 'node:path';
import { python } from './posix.ts';
import { output } from './shell.ts';

/** A bound on what hangs: one takes some seconds. */
export const EXERCISE = 300_000;
const exercisers = join(import.meta.dirname, '../posix/exercisers');

export type Exerciser = 'files' | 'trees' | 'exchange' | 'othermount';

/** `timeout`: milliseconds. */
export async function exercise(
  kind: Exerciser,
  args: readonly string[],
  ops: number,
  timeout = EXERCISE,
): Promise<void> {
  const command = [python, join(exercisers, `${kind}.py`), ...args, '--ops', `${ops}`];
  await output(`exec ${command.join(' ')}`, { timeout });
}
