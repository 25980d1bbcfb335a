// What the benchmarks have in common: how they speak, and what they make of several measurements.

export const say = (text) => process.stderr.write(`bench: ${text}\n`);

/** One line of a target that is met or not. */
export const verdict = (ok, text) => `${ok ? 'met   ' : 'MISSED'}  ${text}`;

export function quantile(numbers, part) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
}

export const median = (numbers) => quantile(numbers, 0.5);

/** So many of them at this scale. */
export const scaled = (count, scale) => Math.max(1, Math.floor(count / scale));
