// The bodies of errors: their text, and what real servers send in the place of what the dialect's manual says.

import { asBuffer } from '../../common/cursor.ts';
import { errno } from '../../common/errno.ts';
import { type FieldType, string } from '../../common/layout.ts';
import { decodeText } from '../../common/text.ts';

/** The text of an Rerror, which is only shown or compared: NUL does no harm. error(9P) lets a server cut it within a character. */
export const errorText: FieldType<string> = {
  ...string,
  read: (cursor) => decodeText(asBuffer(cursor.view(cursor.u16()))),
};

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
