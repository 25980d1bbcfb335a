// What a version of 9P is on the wire, and what its errors mean. Which dialect (dialect.ts) goes with one is session.ts's to
// know.

import { type Codec, dotlCodec, dotuCodec, legacyCodec } from '../../wire/p9/codec.ts';
import { VERSION } from '../../wire/p9/constants.ts';
import { type ErrorReply, errnoOfBoth, errnoOfNumber, errnoOfWords } from './errors.ts';
import type { Version } from './versions.ts';

export interface Speech {
  readonly codec: Codec;
  /** The errno of an error reply. */
  errnoOf(reply: ErrorReply): number;
}

export const speech: Readonly<Record<Version, Speech>> = {
  [VERSION.dotl]: { codec: dotlCodec, errnoOf: errnoOfNumber },
  [VERSION.dotu]: { codec: dotuCodec, errnoOf: errnoOfBoth },
  [VERSION.legacy]: { codec: legacyCodec, errnoOf: errnoOfWords },
};
