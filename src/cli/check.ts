// `ninefs check`: from the words of the command line to a run of the rules, and from its report to the exit code.
// Guarantees: 0 when no rule failed, 1 when one did or nothing could be checked; what was made on the server is removed also
// after the first signal, the second ends the process at once.

import { callerName } from '../bridge/settings.ts';
import type { Rule } from '../check/rule.ts';
import { rules } from '../check/rules.ts';
import { check } from '../check/runner.ts';
import type { Target } from '../check/stage.ts';
import { Abort, type AbortSignalLike } from '../common/abort.ts';
import { ConfigError, ConnectionError } from '../common/errors.ts';
import { connectSocket } from '../transport/socket.ts';
import { type CheckChoices, parseCheckOptions } from './checkoptions.ts';
import { asJson, asList, asTable, summary } from './checkreport.ts';
import { nearest } from './nearest.ts';
import { complain, EXIT } from './report.ts';
import { addressOf } from './source.ts';

export interface CheckFlags {
  option?: string[];
  only?: string[];
  list?: true;
  readonly?: true;
  /** Seconds. */
  timeout: number;
  json?: true;
}

/** Small, so that what exceeds it is small too. */
const MSIZE = 8192 + 24;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Settles when it is out, since the process ends behind it; a reader that has gone away has read what it wanted. */
function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => (error.code === 'EPIPE' ? resolve() : reject(error));
    process.stdout.once('error', failed);
    process.stdout.write(`${text}\n`, (error) => (error ? failed(error) : resolve()));
  });
}

function matcher(pattern: string): RegExp {
  return new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`);
}

/** The rules that the patterns name, in their own order. Throws ConfigError for a pattern that names none. */
export function chosen(patterns: readonly string[] | undefined): readonly Rule[] {
  if (patterns === undefined) return rules;
  const wanted = new Set<Rule>();
  for (const pattern of patterns) {
    const found = rules.filter(({ id }) => matcher(pattern).test(id));
    if (found.length === 0) {
      const near = nearest(
        pattern,
        rules.map(({ id }) => id),
      );
      const hint = near === undefined ? "'ninefs check --list' lists them" : `did you mean ${near}?`;
      throw new ConfigError(`--only ${pattern}: no rule has that name; ${hint}`);
    }
    for (const rule of found) wanted.add(rule);
  }
  return rules.filter((rule) => wanted.has(rule));
}

function targetOf(address: string, choices: CheckChoices, timeout: number): Target {
  const to = addressOf(address, choices.port);
  const uid = choices.nUname ?? process.getuid?.() ?? 0;
  return {
    dial: (signal) => connectSocket(to, { signal, timeout }),
    who: { uname: choices.uname ?? callerName(process.getuid?.() ?? 0), aname: choices.aname ?? '', nUname: uid },
    msize: choices.msize ?? MSIZE,
    timeout,
    hang: choices.hang?.split('/').filter((name) => name !== ''),
  };
}

/** Aborted by the first signal. */
function interruptible(): AbortSignalLike {
  const interrupt = new Abort();
  for (const signal of SIGNALS) {
    process.once(signal, () => {
      complain('interrupted: removing what was made on the server; once more ends it at once');
      interrupt.abort(signal);
      for (const again of SIGNALS) process.removeAllListeners(again);
    });
  }
  return interrupt;
}

/** One line on a terminal that says which rule runs. */
function progress(total: number): { next: () => void; end: () => void } {
  if (!process.stderr.isTTY) return { next: () => undefined, end: () => undefined };
  let done = 0;
  const show = () => process.stderr.write(`\r\x1b[K${done} of ${total} rules`);
  show();
  return {
    next() {
      done++;
      show();
    },
    end: () => void process.stderr.write('\r\x1b[K'),
  };
}

/** Settles with the exit code. Rejects with what describe() turns into the user's line. */
export async function checkCommand(address: string | undefined, flags: CheckFlags): Promise<number> {
  const wanted = chosen(flags.only);
  if (flags.list) {
    await print(flags.json ? asJson.rules(wanted) : asList(wanted));
    return EXIT.ok;
  }
  if (address === undefined) throw new ConfigError("missing required argument 'address'");
  const choices = parseCheckOptions(flags.option ?? []);
  const target = targetOf(address, choices, flags.timeout * 1000);
  const signal = interruptible();
  const { next, end } = progress(wanted.length);
  const report = await check({
    target,
    rules: wanted,
    readOnly: flags.readonly === true,
    signal,
    onResult: next,
  })
    .catch((error: unknown) => {
      // it ended the first connection, before there was anything to remove
      if (signal.aborted && error instanceof ConnectionError) return undefined;
      throw error;
    })
    .finally(end);
  if (report === undefined) return EXIT.interrupted;
  if (flags.json) await print(asJson.report(report, address, target.who.aname));
  else await print(`${asTable(report.results)}\n${summary(report)}`);
  if (report.left !== undefined) complain(`warning: ${report.left}`);
  if (report.interrupted) return EXIT.interrupted;
  return report.counts.fail > 0 ? EXIT.failure : EXIT.ok;
}
