// The server's own figures as files, so that a client can look for its leaks through the protocol. Each file is lines of a
// name and numbers; reading one is itself a request on a fid, and counted.

import type { ServerStats } from '../stats.ts';
import { directory, type SynthDirectory, text } from './synth.ts';

/** What misbehaves, by name, with what has happened there. */
export interface Counted {
  readonly name: string;
  readonly counts: object;
}

function lines(rows: Iterable<readonly (string | number)[]>): string {
  return [...rows].map((row) => `${row.join(' ')}\n`).join('');
}

/** `stats` gives undefined before a server has taken the tree. */
export function counters(stats: () => ServerStats | undefined, places: () => Iterable<Counted>): SynthDirectory {
  const connections = () => stats()?.connections ?? [];
  return directory({
    tags: text(() => `${connections().reduce((sum, { tags }) => sum + tags, 0)}\n`),
    fids: text(() => `${connections().reduce((sum, { fids }) => sum + fids, 0)}\n`),
    connections: text(() => lines(connections().map(({ peer, tags, fids }) => [peer, 'tags', tags, 'fids', fids]))),
    flushes: text(() => lines(Object.entries(stats()?.flushes ?? {}))),
    faults: text(() => lines([...places()].map(({ name, counts }) => [name, ...Object.entries(counts).flat()]))),
  });
}
