// Names and link targets: bytes on the machine, text in 9P, and only UTF-8 is both.

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The bytes as text; undefined when they are not UTF-8, which 9P requires. */
export function decode(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined; // the one thing that a fatal decoder throws for
  }
}
