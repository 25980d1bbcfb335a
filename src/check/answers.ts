// What a server can do when it is sent a message, and how the report says it: in protocol words, without the numbers
// that differ from one run to the next, so that two runs against one server can be compared.
// Pure.

import { errnoName } from '../common/errno.ts';
import { quoteStart } from '../common/text.ts';
import type { Message } from '../wire/p9/messages.ts';
import { isRefusal as isRefusalReply } from '../wire/p9/traits.ts';

/** A message that came. One that cannot be decoded keeps its tag, where its header had one. */
export type Heard =
  | Message
  | { readonly type: 'garbled'; readonly tag: number; readonly number: number; readonly why: string };

/** The answer to a message: another message, or the end of the connection. */
export type Answer = Heard | { readonly type: 'closed'; readonly tag: number; readonly why: string };

/** The errno of an answer that is an error, undefined for every other. */
export function ecodeOf(answer: Answer): number | undefined {
  return isRefusalReply(answer) ? answer.ecode : undefined;
}

export function isError(answer: Answer): boolean {
  return ecodeOf(answer) !== undefined;
}

/** A server that will not carry a message out may say so, or hang up on whoever sends such things. */
export function isRefusal(answer: Answer): boolean {
  return isError(answer) || answer.type === 'closed';
}

const LOCK_WORDS = ['SUCCESS', 'BLOCKED', 'ERROR', 'GRACE'];
const SHOWN = 60;

const plural = (count: number, noun: string) => `${count} ${noun}${count === 1 ? '' : 's'}`;

/**
 * In 9P2000 an error is words, in .u words and a number; in .L there is no Rerror, but servers send one with a number.
 */
function showRerror({ ename, ecode }: Message<'Rerror'>): string {
  if (ename === '') return `Rerror (type 107) ${errnoName(ecode)}`;
  return ecode === 0 ? `Rerror ${quoteStart(ename, SHOWN)}` : `Rerror ${errnoName(ecode)} ${quoteStart(ename, SHOWN)}`;
}

export function show(answer: Answer): string {
  switch (answer.type) {
    case 'closed':
      return answer.why;
    case 'garbled':
      return `a message of type ${answer.number} that is malformed (${answer.why})`;
    case 'Rlerror':
      return `Rlerror ${errnoName(answer.ecode)}`;
    case 'Rerror':
      return showRerror(answer);
    case 'Rversion':
      return `Rversion ${quoteStart(answer.version, SHOWN)}`;
    case 'Rwalk':
      return `Rwalk of ${plural(answer.qids.length, 'qid')}`;
    case 'Rread':
    case 'Rreaddir':
      return `${answer.type} of ${plural(answer.data.length, 'byte')}`;
    case 'Rwrite':
      return `Rwrite of ${plural(answer.count, 'byte')}`;
    case 'Rlock':
      return `Rlock ${LOCK_WORDS[answer.status] ?? answer.status}`;
    default:
      return answer.type;
  }
}
