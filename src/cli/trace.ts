// `ninefs trace`: a proxy between a client and a server that prints every message of both, until a signal ends it, and then what
// it all amounts to.
// Guarantees: stdout has the trace and nothing else; nothing of it is lost, a reader that takes no more stops the traffic; one
// that has gone away ends the command.

import { once } from 'node:events';
import { pino } from 'pino';
import { Abort } from '../common/abort.ts';
import { ConfigError } from '../common/errors.ts';
import { asJson, asLine, type TraceEvent } from '../trace/format.ts';
import { parsePattern } from '../trace/pattern.ts';
import { TraceProxy } from '../trace/proxy.ts';
import { Summary } from '../trace/summary.ts';
import { formatAddress, parseAddress } from '../transport/address.ts';
import { connectSocket, listenSocket } from '../transport/socket.ts';
import { clearSocket, untilSignal, warnWhenOpen } from './listening.ts';
import { complain, EXIT } from './report.ts';

export interface TraceFlags {
  listen: string;
  json?: true;
  /** Milliseconds. */
  delay?: number;
  hold?: string[];
  drop?: string[];
  cutAfter?: number;
}

/** Beside the port of `ninefs serve`. */
const TRACE_PORT = 5641;
const CONNECT_TIMEOUT = 20_000;
const STDOUT = 1;

interface Output {
  /** False: it takes no more until `drained` is called. */
  line(text: string): boolean;
  end(): Promise<void>;
  /** Nobody reads any more. */
  readonly gone: Promise<void>;
}

/** Lines to stdout in the background, so that a reader who does not read stops the traffic and not the signals. */
function openOutput(drained: () => void): Output {
  const sink = pino.destination({ dest: STDOUT, sync: false });
  let failed = false;
  sink.on('drain', drained);
  const gone = new Promise<void>((settle) => {
    sink.on('error', (error: NodeJS.ErrnoException) => {
      if (!failed && error.code !== 'EPIPE') complain(`stdout: ${error.message}`);
      failed = true;
      settle();
    });
  });
  return {
    line: (text) => failed || sink.write(`${text}\n`),
    async end() {
      if (failed) return;
      const closed = once(sink, 'close');
      sink.end();
      await Promise.race([closed, gone]);
    },
    gone,
  };
}

/** Settles with the exit code when a signal, or the end of its reader, has ended it. Rejects with the user's line. */
export async function traceCommand(to: string, flags: TraceFlags): Promise<number> {
  const server = parseAddress(to);
  const address = parseAddress(flags.listen, TRACE_PORT);
  const trouble = {
    hold: (flags.hold ?? []).map(parsePattern),
    drop: (flags.drop ?? []).map(parsePattern),
    ...(flags.delay === undefined ? {} : { delay: flags.delay }),
    ...(flags.cutAfter === undefined ? {} : { cutAfter: flags.cutAfter }),
  };
  if (formatAddress(server) === formatAddress(address)) {
    throw new ConfigError(`--listen ${flags.listen}: that is the server's own address`);
  }
  const ending = new Abort();
  const dial = () => connectSocket(server, { signal: ending, timeout: CONNECT_TIMEOUT });
  (await dial()).close(); // or the first client would be the one who is told that there is no server

  const signalled = untilSignal();
  const output = openOutput(() => proxy.unblock());
  const show = flags.json ? asJson : asLine;
  const summary = new Summary();
  const tell = (event: TraceEvent) => {
    summary.add(event);
    return output.line(show(event));
  };
  const proxy: TraceProxy = new TraceProxy({ dial, trouble, tell, signal: ending });
  const release = () => {
    const bytes = proxy.release();
    const at = performance.timeOrigin + performance.now();
    tell({ kind: 'note', connection: 0, at, what: 'released', text: `released ${bytes} bytes` });
  };
  if (address.kind === 'unix') await clearSocket(address.path);
  const listener = await listenSocket(
    address,
    (client) => void proxy.accept(client),
    (error) => complain(`warning: a connection could not be accepted: ${error.message}`),
  );
  const listening = formatAddress(listener.address);
  warnWhenOpen(address, 'reaches the server behind it');
  output.line(flags.json ? JSON.stringify({ event: 'listening', address: listening }) : `listening on ${listening}`);
  process.on('SIGUSR1', release); // without a listener it would start node's debugger

  await Promise.race([signalled, output.gone]);
  ending.abort();
  await listener.close();
  proxy.close();
  for (const line of flags.json ? [summary.asJson()] : summary.asLines()) output.line(line);
  await output.end();
  return EXIT.ok;
}
