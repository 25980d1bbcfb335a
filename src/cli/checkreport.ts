// How the outcome of `ninefs check` looks: a table for people, one JSON document for machines.
// The table keeps within the terminal; where there is none it is as wide as it likes and has no colours.

import Table from 'cli-table3';
import pico from 'picocolors';
import type { Rule, Verdict } from '../check/rule.ts';
import type { Report, Result } from '../check/runner.ts';
import { oneLine } from './report.ts';

const RESULT_WIDTH = 9;
const NARROWEST = 80;
const WIDEST = 160;
/** Borders and padding of a table of four columns. */
const FRAME = 13;

const colours = pico.createColors(process.stdout.isTTY === true && pico.isColorSupported);
const paint: Readonly<Record<Verdict, (text: string) => string>> = {
  pass: colours.green,
  fail: colours.red,
  'n/a': colours.dim,
  unclear: colours.yellow,
};

function table(head: string[], widths: number[]): InstanceType<typeof Table> {
  return new Table({ head, colWidths: widths, wordWrap: true, style: { head: [], border: [], compact: true } });
}

const idWidth = (rules: readonly Rule[]) => Math.max(4, ...rules.map(({ id }) => id.length)) + 2;

/** What is left of the line for the columns of text. */
function room(taken: number): number {
  const columns = process.stdout.columns ?? WIDEST;
  return Math.min(Math.max(columns, NARROWEST), WIDEST) - taken - FRAME;
}

export function asTable(results: readonly Result[]): string {
  const id = idWidth(results.map(({ rule }) => rule));
  const text = room(id + RESULT_WIDTH);
  const requirement = Math.ceil(text * 0.6);
  const rows = table(
    ['Rule', 'What is required', 'Result', 'What the server did'],
    [id, requirement, RESULT_WIDTH, text - requirement],
  );
  let section = '';
  for (const { rule, verdict, did } of results) {
    if (rule.section !== section) rows.push([{ colSpan: 4, content: colours.bold(rule.section) }]);
    section = rule.section;
    rows.push([rule.id, rule.text, paint[verdict](verdict), oneLine(did)]);
  }
  return rows.toString();
}

export function asList(rules: readonly Rule[]): string {
  const id = idWidth(rules);
  const section = Math.max(7, ...rules.map((rule) => rule.section.length)) + 2;
  const rows = table(['Rule', 'Section', 'What is required'], [id, section, room(id + section)]);
  for (const rule of rules) rows.push([rule.id, rule.section, rule.text]);
  return rows.toString();
}

export function summary({ counts, versions, msize }: Report): string {
  const parts = [
    paint.pass(`${counts.pass} passed`),
    counts.fail > 0 ? paint.fail(`${counts.fail} failed`) : '0 failed',
    `${counts['n/a']} not applicable`,
    counts.unclear > 0 ? paint.unclear(`${counts.unclear} could not be told`) : '0 could not be told',
  ];
  return `${versions.join(' and ')}, msize ${msize}: ${parts.join(', ')}`;
}

const described = ({ id, section, start, text }: Rule) => ({ id, section, text, writes: start === 'home' });

export const asJson = {
  rules: (rules: readonly Rule[]): string => JSON.stringify(rules.map(described), null, 2),

  report({ versions, msize, counts, left, interrupted, results }: Report, address: string, aname: string): string {
    const { pass, fail, unclear } = counts;
    const document = {
      address,
      aname,
      version: versions[0],
      versions,
      msize,
      counts: { pass, fail, notApplicable: counts['n/a'], unclear },
      interrupted,
      left: left ?? null,
      rules: results.map(({ rule, verdict, did, ms }) => ({
        ...described(rule),
        result: verdict,
        did: oneLine(did),
        ms,
      })),
    };
    return JSON.stringify(document, null, 2);
  },
};
