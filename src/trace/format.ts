// How a trace looks: a line an event for people, a JSON object a line for machines.
// Guarantees: one event is one line, whatever a peer puts into its names; a line is of bounded length.

import { type Decoded, safe, values } from './decode.ts';
import type { FlushState, MessageRecord, Referred } from './tracer.ts';

/** What became of a message on its way. */
export type Fate = 'passed' | 'held' | 'dropped';

export type TraceEvent =
  | { readonly kind: 'message'; readonly connection: number; readonly record: MessageRecord; readonly fate: Fate }
  | {
      /** Something about a connection that is no message; `what` is the word for machines, `text` the sentence for people. */
      readonly kind: 'note';
      readonly connection: number;
      readonly at: number;
      readonly what: string;
      readonly text: string;
    };

/** Of a value in a line. */
const WIDEST = 200;

const clip = (text: string) => (text.length > WIDEST ? `${text.slice(0, WIDEST)}...` : text);
const words = (fields: Decoded['fields']) => fields.map(([name, value]) => `${name}=${value}`);

function ofRequest({ type, fields }: Referred): string[] {
  return [`of=${type}`, ...words(fields)];
}

/** What patterns are held to: the message's name, its tag and fields, and for a reply what it answers. */
export function wordsOf({ decoded, request }: MessageRecord): string[] {
  const own = [decoded.type, `tag=${decoded.tag}`, ...words(decoded.fields)];
  return request === undefined ? own : [...own, ...ofRequest(request)];
}

const OF_FLUSH: Readonly<Record<FlushState, string>> = {
  outstanding: 'flushes',
  cancelled: 'cancelled:',
  answered: 'had been answered:',
  unknown: 'nothing has that tag',
};

function flushText({ flush, decoded }: MessageRecord): string[] {
  if (flush === undefined) return [];
  if (flush.request === undefined) return decoded.type === 'Tflush' ? [OF_FLUSH.unknown] : [];
  const { type, fields } = flush.request;
  return [[OF_FLUSH[flush.state], type, `tag=${flush.oldtag}`, ...words(fields)].map(clip).join(' ')];
}

const two = (value: number) => String(value).padStart(2, '0');

/** Local time of day with microseconds. */
function clock(at: number): string {
  const date = new Date(at);
  const micros = Math.floor((at % 1000) * 1000);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(micros).padStart(6, '0')}`;
}

export const milliseconds = (ms: number) => `${ms.toFixed(3)} ms`;

function messageLine(connection: number, record: MessageRecord, fate: Fate): string {
  const { decoded, request, latency, flushed, wrong, at, from } = record;
  const own = [decoded.type, `tag=${decoded.tag}`, ...words(decoded.fields)].map(clip).join(' ');
  const parts = [`${clock(at)} ${connection} ${from === 'client' ? '->' : '<-'} ${own}`];
  if (request !== undefined) parts.push(ofRequest(request).map(clip).join(' '));
  if (latency !== undefined) parts.push(milliseconds(latency));
  if (flushed) parts.push('flushed before, and answered');
  parts.push(...flushText(record));
  if (fate !== 'passed') parts.push(fate.toUpperCase());
  if (wrong !== undefined) parts.push(`WRONG: ${safe(wrong)}`);
  return parts.join(' | ');
}

export function asLine(event: TraceEvent): string {
  if (event.kind === 'message') return messageLine(event.connection, event.record, event.fate);
  return `${clock(event.at)} ${event.connection} -- ${safe(event.text)}`;
}

const referred = ({ type, tag }: Referred) => ({ type, tag });

export function asJson(event: TraceEvent): string {
  const { connection } = event;
  if (event.kind === 'note') {
    return JSON.stringify({ event: event.what, time: event.at, connection, text: event.text });
  }
  const { decoded, request, latency, flush, flushed, wrong, at, from } = event.record;
  return JSON.stringify({
    event: 'message',
    time: at,
    connection,
    from,
    type: decoded.type,
    tag: decoded.tag,
    size: decoded.size,
    fields: values(decoded),
    ...(request === undefined ? {} : { request: referred(request) }),
    ...(latency === undefined ? {} : { latency }),
    ...(flushed === undefined ? {} : { flushed }),
    ...(flush === undefined
      ? {}
      : { flush: { state: flush.state, oldtag: flush.oldtag, type: flush.request?.type ?? null } }),
    ...(event.fate === 'passed' ? {} : { fate: event.fate }),
    ...(wrong === undefined ? {} : { wrong }),
  });
}
