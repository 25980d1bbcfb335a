// The sinks into which READDIR and READDIRPLUS are collected: whole entries only, within the size that was asked for.
// An entry that is refused was not taken: the file system adds it again when the kernel asks from its offset.

import type { NodeId } from '../common/brand.ts';
import { byteLength } from '../common/text.ts';
import { Writer } from '../common/writer.ts';
import { direntPlusSize, direntSize, writeDirent, writeEmptyEntry, writeEntry } from '../wire/fuse/replies.ts';
import type { DirentPlusSink, DirentSink, Entry } from './operations.ts';

/** The kernel asks for no more than its largest request; a bound all the same, because it is memory taken on its word. */
const MOST = 1 << 20;

class Collected {
  protected readonly writer: Writer;

  constructor(size: number) {
    this.writer = Writer.sized(Math.min(size, MOST));
  }

  get bytes(): Uint8Array {
    return this.writer.bytes.subarray(0, this.writer.at);
  }
}

export class Dirents extends Collected implements DirentSink {
  add(name: string, ino: bigint, type: number, offset: bigint): boolean {
    const length = byteLength(name);
    if (direntSize(length) > this.writer.left) return false;
    writeDirent(this.writer, ino, offset, type, name, length);
    return true;
  }
}

export class DirentsPlus extends Collected implements DirentPlusSink {
  /** Nodes of which a lookup was counted, to be forgotten should the kernel not take the reply. */
  readonly counted: NodeId[] = [];

  fits(name: string): boolean {
    return direntPlusSize(byteLength(name)) <= this.writer.left;
  }

  add(name: string, ino: bigint, type: number, offset: bigint, entry: Entry | undefined): boolean {
    const length = byteLength(name);
    if (direntPlusSize(length) > this.writer.left) return false;
    // The kernel counts no lookup for these two, so they are given no node id that it could be tempted to keep.
    if (entry === undefined || name === '.' || name === '..') {
      writeEmptyEntry(this.writer);
    } else {
      const at = this.writer.at;
      try {
        writeEntry(this.writer, entry);
      } catch (error) {
        this.writer.at = at; // attributes that do not fit their fields: the entry was not taken
        throw error;
      }
      this.counted.push(entry.nodeid);
    }
    writeDirent(this.writer, ino, offset, type, name, length);
    return true;
  }
}
