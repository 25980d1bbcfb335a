// Reads `-o a,b=c` lists, as mount(8) writes them: `\,` is a comma inside a value, `\\` a backslash. Which names exist
// and what they take is the table in options.ts; everything here is derived from it, --help too.
// A name or a value that is not in the table is a ConfigError (exit 2) that names it and says what would be right.

import { ConfigError } from '../common/errors.ts';
import { nearest } from './nearest.ts';
import { type Choice, type Choices, type Flag, ignored, MIB, type Numeric, type Option, options } from './options.ts';

type Valued<T> = Exclude<Option<T>, Flag<T>>;

export interface GivenOption {
  name: string;
  /** Undefined without `=`; empty for `name=`. */
  value: string | undefined;
}

function pieces(list: string): string[] {
  const found: string[] = [];
  let piece = '';
  for (let at = 0; at < list.length; at++) {
    const letter = list[at] ?? '';
    const next = list[at + 1];
    if (letter === '\\' && (next === ',' || next === '\\')) {
      piece += next;
      at++;
    } else if (letter === ',') {
      found.push(piece);
      piece = '';
    } else piece += letter;
  }
  found.push(piece);
  return found.filter((text) => text !== '');
}

/** Every option of one list, in order. Empty pieces (`ro,,noatime`) are skipped, as mount(8) skips them. */
export function splitOptions(list: string): GivenOption[] {
  return pieces(list).map((text) => {
    const equals = text.indexOf('=');
    return equals < 0
      ? { name: text, value: undefined }
      : { name: text.slice(0, equals), value: text.slice(equals + 1) };
  });
}

const isIgnored = (name: string) => /^x-/i.test(name) || name === 'comment' || ignored.includes(name);

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1024, m: MIB, g: 1024 * MIB };

/** The number that a text means in a unit, or undefined. */
export function parseNumber(text: string, unit: Numeric['unit']): number | undefined {
  if (unit === 'seconds') return /^\d{1,9}(\.\d{1,6})?$/.test(text) ? Number(text) : undefined;
  if (unit === 'number') return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  const [, digits, letter = ''] = /^(\d{1,15})([kmg]?)$/i.exec(text) ?? [];
  const factor = UNITS[letter.toLowerCase()];
  return digits === undefined || factor === undefined ? undefined : Number(digits) * factor;
}

const NOUN = { number: 'a number', bytes: 'a number of bytes', seconds: 'a number of seconds' } as const;

/** What would be right for an option that takes a value. */
function wanted<T>(option: Choice<T> | Numeric<T>): string {
  if (option.kind === 'choice') return `it takes ${option.choices.join(', ').replace(/, (\w+)$/, ' or $1')}`;
  return `it takes ${NOUN[option.unit]} from ${option.min} to ${option.max}`;
}

function wrong<T>(option: Valued<T>, value: string, why: string): never {
  const near = option.kind === 'choice' ? nearest(value, option.choices) : undefined;
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  throw new ConfigError(`option ${option.name}=${value}: ${why}${hint}`);
}

function applyValue<T>(to: T, option: Valued<T>, value: string): void {
  if (value.includes('\0')) wrong(option, value.replaceAll('\0', '\\0'), 'it takes text without NUL');
  if (option.kind === 'number') {
    const parsed = parseNumber(value, option.unit);
    if (parsed === undefined || parsed < option.min || parsed > option.max) wrong(option, value, wanted(option));
    option.put(to, parsed);
  } else if (option.kind === 'choice') {
    if (!option.choices.includes(value)) wrong(option, value, wanted(option));
    option.put(to, value);
  } else {
    const why = option.check?.(value);
    if (why !== undefined) wrong(option, value, why);
    option.put(to, value);
  }
}

/** The options of one sub-command. */
export interface OptionTable<T> {
  readonly options: readonly Option<T>[];
  /** Names that are accepted and change nothing. */
  readonly ignored: readonly string[];
  readonly isIgnored: (name: string) => boolean;
  /** Where they are listed. */
  readonly help: string;
}

const mountTable: OptionTable<Choices> = { options, ignored, isIgnored, help: 'ninefs mount --help' };

function apply<T>(to: T, table: OptionTable<T>, name: string, value: string | undefined): void {
  if (table.isIgnored(name)) return;
  const option = table.options.find((each) => each.name === name);
  if (option === undefined) {
    const near = nearest(name, [...table.options.map((each) => each.name), ...table.ignored]);
    const hint = near === undefined ? `'${table.help}' lists them` : `did you mean ${near}?`;
    throw new ConfigError(`unknown option '${name}': ${hint}`);
  }
  if (option.kind === 'flag') {
    if (value !== undefined) throw new ConfigError(`option ${name}=${value}: it takes no value; write ${name}`);
    option.put(to);
  } else {
    if (value === undefined) throw new ConfigError(`option ${name}: it needs a value: ${name}=${usage(option)}`);
    applyValue(to, option, value);
  }
}

/** Reads every -o list in order into `to`; of options that contradict each other the last one wins. */
export function readOptions<T>(lists: readonly string[], table: OptionTable<T>, to: T): T {
  for (const list of lists) {
    for (const { name, value } of splitOptions(list)) apply(to, table, name, value);
  }
  return to;
}

/** A list without what is not in the table, for `mount -s`. */
export function sloppyList(list: string): string {
  const isKnown = ({ name }: GivenOption) => isIgnored(name) || options.some((option) => option.name === name);
  return splitOptions(list)
    .filter(isKnown)
    .map(({ name, value }) => (value === undefined ? name : `${name}=${value.replace(/[\\,]/g, '\\$&')}`))
    .join(',');
}

/** Those of `ninefs mount`. */
export function parseOptions(lists: readonly string[]): Choices {
  return readOptions(lists, mountTable, { settings: {} });
}

const UNIT_NAMES = { number: 'N', bytes: 'BYTES', seconds: 'SECONDS' } as const;

function usage<T>(option: Valued<T>): string {
  if (option.kind === 'choice') return option.choices.join('|');
  return option.kind === 'text' ? option.value : UNIT_NAMES[option.unit];
}

/** The table as --help prints it. */
export function optionRows<T>(table: readonly Option<T>[]): string[] {
  return table.map((option) => {
    const left = option.kind === 'flag' ? option.name : `${option.name}=${usage(option)}`;
    return left.length > 22 ? `  ${left}\n${' '.repeat(26)}${option.help}` : `  ${left.padEnd(24)}${option.help}`;
  });
}

/** What --help of `ninefs mount` says of -o. */
export function optionsHelp(): string {
  return [
    'Options of -o (several lists add up, the last of a kind wins, \\, is a comma in a value):',
    ...optionRows(options),
    `  accepted for fstab's sake and ignored: ${ignored.join(' ')} x-* comment=*`,
  ].join('\n');
}
