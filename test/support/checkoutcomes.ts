// What each server does with the rules of `ninefs check`, kept in files: one line for each rule that it does not pass.
// The README's table is made from them, and the interop tests hold the servers to them.
//
// A line is the rule, the verdict and what the server did. `sometimes` is a verdict of these files only: the server
// passes or fails, as it comes.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { rules } from '../../src/check/rules.ts';
import type { Result } from '../../src/check/runner.ts';

export interface Outcome {
  readonly verdict: string;
  readonly did: string;
}

/** By rule; one that is not in it passes. */
export type Outcomes = ReadonlyMap<string, Outcome>;

const fileOf = (server: string) => join(import.meta.dirname, `../interop/outcomes/${server}.txt`);

export function outcomesOf(server: string): Outcomes {
  const outcomes = new Map<string, Outcome>();
  for (const line of readFileSync(fileOf(server), 'utf8').split('\n')) {
    const [, id, verdict = '', did = ''] = /^([a-z0-9-]+)\s+(fail|n\/a|sometimes)\s+(.*)$/.exec(line) ?? [];
    if (id !== undefined) outcomes.set(id, { verdict, did });
    else if (line !== '' && !line.startsWith('#')) throw new Error(`${fileOf(server)}: what is '${line}'?`);
  }
  return outcomes;
}

/** What a run says, and what the file says of it, as lines that should be the same. */
export function compare(results: readonly Result[], known: Outcomes): { seen: string[]; expected: string[] } {
  const line = (id: string, { verdict, did }: Outcome) => `${id.padEnd(27)} ${verdict.padEnd(9)} ${did}`;
  const seen: string[] = [];
  const expected: string[] = [];
  for (const { rule, verdict, did } of results) {
    const outcome = known.get(rule.id);
    if (outcome?.verdict === 'sometimes' && (verdict === 'pass' || verdict === 'fail')) continue;
    if (verdict !== 'pass') seen.push(line(rule.id, { verdict, did }));
    if (outcome !== undefined) expected.push(line(rule.id, outcome));
  }
  return { seen, expected };
}

const SERVERS = ['diod', 'ganesha'] as const;

function cell(outcome: Outcome | undefined): string {
  if (outcome === undefined) return 'pass';
  const { verdict, did } = outcome;
  const text = did.replaceAll('|', '\\|');
  return verdict === 'n/a' ? 'n/a' : verdict === 'sometimes' ? `at times: ${text}` : text;
}

/** The README's tables: how many of the rules each server passes, and those that one of them fails. */
export function readmeTables(): string {
  const known = SERVERS.map(outcomesOf);
  const count = (outcomes: Outcomes, ...verdicts: string[]) =>
    [...outcomes.values()].filter(({ verdict }) => verdicts.includes(verdict)).length;
  const embedded = `| the embedded server | ${rules.length} | 0 | 0 |`;
  const titles = ['diod 1.0.24', 'nfs-ganesha 4.3'];
  const totals = known.map((outcomes, i) => {
    const [fails, idle] = [count(outcomes, 'fail', 'sometimes'), count(outcomes, 'n/a')];
    return `| ${titles[i]} | ${rules.length - fails - idle} | ${fails} | ${idle} |`;
  });
  const failed = rules.filter(({ id }) =>
    known.some((each) => ['fail', 'sometimes'].includes(each.get(id)?.verdict ?? '')),
  );
  const rows = failed.map(
    ({ id, text }) =>
      `| \`${id}\` | ${text.replaceAll('|', '\\|')} | pass | ${known.map((each) => cell(each.get(id))).join(' | ')} |`,
  );
  return [
    '| Server | passed | failed | not applicable |',
    '| --- | --- | --- | --- |',
    embedded,
    ...totals,
    '',
    `| Rule | What is required | embedded | ${titles.join(' | ')} |`,
    '| --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}
