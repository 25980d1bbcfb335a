// The error bodies that are not what the dialect's manual says but that real servers send.

import { errno } from '../../common/errno.ts';
import type { FieldType } from '../../common/layout.ts';

/**
 * The body of a type 107 in a .L session: a bare u32 (nfs-ganesha), or a text with or without a number behind it
 * (a server that has fallen back to 9P2000 or .u). Without a number it is EIO.
 */
export const looseErrno: FieldType<number> = {
  fixed: 4,
  write: (writer, value) => writer.u32(value),
  read(cursor) {
    if (cursor.left === 4) return cursor.u32();
    // the text is not decoded: it is not used, and error(9P) lets a server cut it, also within a character
    cursor.view(cursor.u16());
    return cursor.left >= 4 ? cursor.u32() : errno.EIO;
  },
  show: String,
};
