// A logger that keeps its lines, for tests of what is told and how often.

import { type Logger, silent } from '../../src/common/log.ts';

export interface Line extends Record<string, unknown> {
  level: 'error' | 'warn' | 'info';
  text: string;
}

/** A logger, and what it was told at info and above. */
export function keepingLogger(): { logger: Logger; lines: Line[] } {
  const lines: Line[] = [];
  const keep = (level: Line['level']) => (fields: object, text: string) => {
    lines.push({ level, text, ...fields });
  };
  return { lines, logger: { ...silent, error: keep('error'), warn: keep('warn'), info: keep('info') } };
}
