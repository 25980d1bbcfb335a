// What a server tells of itself: to its log, to tests, and to its own clients through trees/counters.ts.

import type { FlushCounts } from './flush.ts';

export interface ConnectionStats {
  peer: string;
  /** Requests and flushes outstanding. */
  tags: number;
  fids: number;
}

export interface MemoryStats {
  lent: number;
  kept: number;
  small: number;
}

export interface ServerStats {
  connections: ConnectionStats[];
  /** Connections ever, and how many more were refused. */
  accepted: number;
  refused: number;
  /** Bytes: lent for payloads, kept for the next ones, and of small replies and the like that wait. */
  memory: MemoryStats;
  /** Directories in which some fid's file stands; 0 when no fid is beyond the root. */
  places: number;
  flushes: FlushCounts;
}
