// Waits for something that announces itself in no other way than by being looked at: a process that is gone, a line in
// /proc. Bounded; what is not so in the end is an error that says what it was.

const EVERY = 20;

/** `what`: or a function that says it, with what there is instead. */
export async function until(
  what: string | (() => string),
  isSo: () => boolean | Promise<boolean>,
  timeout = 30_000,
): Promise<void> {
  const late = performance.now() + timeout;
  while (!(await isSo())) {
    if (performance.now() > late) {
      throw new Error(`not within ${timeout} ms: ${typeof what === 'string' ? what : what()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY));
  }
}
