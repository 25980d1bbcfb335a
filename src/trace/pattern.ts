// Which messages a person means: words that a message must have, all of them ('Tread fid=3'), or a /regular expression/ on its
// line. A word is the message's name or one of its fields, and may have * for anything. A reply also has the fields of its
// request, and of=NAME.

import { ConfigError } from '../common/errors.ts';
import { wordsOf } from './format.ts';
import type { MessageRecord } from './tracer.ts';

export type Pattern = (record: MessageRecord) => boolean;

function word(text: string): (word: string) => boolean {
  if (!text.includes('*')) return (other) => other === text;
  const form = new RegExp(`^${text.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`, 's');
  return (other) => form.test(other);
}

/** Throws ConfigError. */
export function parsePattern(text: string): Pattern {
  const regex = /^\/(.*)\/(i?)$/s.exec(text);
  if (regex !== null) {
    let form: RegExp;
    try {
      form = new RegExp(regex[1] ?? '', regex[2]);
    } catch (error) {
      throw new ConfigError(`pattern ${text}: ${(error as Error).message}`);
    }
    return (record) => form.test(wordsOf(record).join(' '));
  }
  const wanted = text.split(/\s+/).filter((each) => each !== '');
  if (wanted.length === 0) throw new ConfigError('an empty pattern would mean every message; write * for that');
  const forms = wanted.map(word);
  return (record) => {
    const words = wordsOf(record);
    return forms.every((form) => words.some(form));
  };
}
