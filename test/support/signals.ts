// What a process sees when a signal finds it waiting for a server that misbehaves: the whole table, as a pure function of
// the operation, the signal, the fault and intr=. The matrix of test/mount and the README's table both come from here.
// Sources: design of `intr=`; fs/fuse/dev.c for what the kernel does with EINTR, and fcntl(2) for locks, which alone restart.

/** The calls, and the message of each that misbehaves. */
export const MESSAGE = {
  read: 'Tread',
  'read cached': 'Tread',
  write: 'Twrite',
  'write cached': 'Twrite',
  open: 'Tlopen',
  stat: 'Tgetattr',
  readdir: 'Treaddir',
  create: 'Tlcreate',
  unlink: 'Tunlinkat',
  rename: 'Trenameat',
  fsync: 'Tfsync',
  SETLKW: 'Tlock',
  getxattr: 'Txattrwalk',
} as const;
export type Operation = keyof typeof MESSAGE;
export const OPERATIONS = Object.keys(MESSAGE) as Operation[];

export interface Signal {
  readonly name: string;
  /** What is sent. */
  readonly signal: NodeJS.Signals;
  /** It has a handler, installed with SA_RESTART or without; or none, and kills. */
  readonly handler: 'restart' | 'no restart' | undefined;
  /** A thousand a second instead of one. */
  readonly storm?: boolean;
  /** It ends in a core dump, and only SIGKILL and what acts like it wakes who waits for a page (kernel/signal.c, complete_signal). */
  readonly dumps?: boolean;
}

export const SIGNALS: readonly Signal[] = [
  { name: 'SIGALRM', signal: 'SIGALRM', handler: 'no restart' },
  { name: 'SIGALRM, SA_RESTART', signal: 'SIGALRM', handler: 'restart' },
  { name: 'SIGCHLD', signal: 'SIGCHLD', handler: 'restart' },
  { name: 'SIGURG storm', signal: 'SIGURG', handler: 'restart', storm: true },
  { name: 'SIGINT', signal: 'SIGINT', handler: undefined },
  { name: 'SIGTERM', signal: 'SIGTERM', handler: undefined },
  { name: 'SIGKILL', signal: 'SIGKILL', handler: undefined },
  { name: 'SIGQUIT', signal: 'SIGQUIT', handler: undefined, dumps: true },
];

export const FAULTS = ['hang', 'slow', 'late', 'mute'] as const;
export type Fault = (typeof FAULTS)[number];
export const MODES = ['auto', 'now', 'fatal', 'off'] as const;
export type Mode = (typeof MODES)[number];

const FOR_EVER: ReadonlySet<Operation> = new Set(['read', 'write', 'SETLKW']);
const EFFECT: ReadonlySet<Operation> = new Set(['write', 'write cached', 'create', 'unlink', 'rename', 'SETLKW']);

/** May wait for ever by its nature: streams, and locks that are waited for. */
export function mayBlock(op: Operation): boolean {
  return FOR_EVER.has(op);
}

/** Nobody may be told that it did not happen unless that is known. */
export function hasEffect(op: Operation): boolean {
  return EFFECT.has(op);
}

export interface Expected {
  /** EIO: the connection had to be given up. 'waits': still in the call, and would be for ever. */
  result: 'success' | 'EINTR' | 'EIO' | 'killed' | 'waits';
  /** When: with the signal, after intrgrace, when a deadline for flushes has passed after that, in the server's own time. */
  when: 'at once' | 'after grace' | 'after a deadline' | 'in its time' | 'never';
  /** Whether a Tflush went out for the request. */
  flushed: boolean;
  /** Whether the server carried it out; undefined where the process is gone before that is known. */
  performed: boolean | undefined;
}

type Kind = Pick<Signal, 'handler' | 'dumps' | 'storm'>;

/** When a Tflush leaves, if ever. */
function flushAt(op: Operation, kills: boolean, mode: Mode): 'at once' | 'after grace' | undefined {
  if (mode === 'off') return undefined;
  if (kills || mode === 'now') return 'at once';
  if (mode === 'fatal') return undefined;
  return mayBlock(op) ? 'at once' : 'after grace';
}

export function expected(op: Operation, { handler, dumps, storm }: Kind, fault: Fault, mode: Mode): Expected {
  const kills = handler === undefined;
  // pages are read in the background: the kernel waits by itself, tells nobody, and a handled signal goes unnoticed
  const unseen = op === 'read cached';
  const flush = unseen ? undefined : flushAt(op, kills, mode);
  if (unseen && kills && dumps !== true) {
    return { result: 'killed', when: 'at once', flushed: false, performed: fault === 'slow' ? undefined : false };
  }
  if (flush === undefined) {
    if (fault !== 'slow') return { result: 'waits', when: 'never', flushed: false, performed: false };
    return { result: kills ? 'killed' : 'success', when: 'in its time', flushed: false, performed: true };
  }
  // the kernel makes an interrupted F_SETLKW again when the handler has SA_RESTART
  const again = op === 'SETLKW' && handler === 'restart';
  switch (fault) {
    case 'hang':
      if (again) return { result: 'waits', when: 'never', flushed: true, performed: false };
      return { result: kills ? 'killed' : 'EINTR', when: flush, flushed: true, performed: false };
    case 'slow':
      // made again before the server ever comes to it
      if (again && storm === true) return { result: 'waits', when: 'never', flushed: true, performed: false };
      if (again) return { result: 'success', when: 'in its time', flushed: true, performed: true };
      return { result: kills ? 'killed' : 'EINTR', when: flush, flushed: true, performed: false };
    case 'late':
      // the reply is honoured, and it was not the last that had to be asked
      if (op === 'getxattr' && !kills) return { result: 'EINTR', when: flush, flushed: true, performed: true };
      return { result: kills ? 'killed' : 'success', when: flush, flushed: true, performed: true };
    case 'mute':
      if (hasEffect(op))
        return { result: kills ? 'killed' : 'EIO', when: 'after a deadline', flushed: true, performed: false };
      return { result: kills ? 'killed' : 'EINTR', when: 'after a deadline', flushed: true, performed: false };
  }
}

/** The README's table: what each kind of call sees. */
export function readmeTable(): string {
  const kinds: [string, Operation][] = [
    ['read of a stream', 'read'],
    ['write to a stream, F_SETLKW', 'write'],
    ['open, stat, readdir, fsync', 'stat'],
    ['getxattr', 'getxattr'],
    ['write, create, unlink, rename', 'create'],
    ['read through the page cache', 'read cached'],
  ];
  const about: Record<Fault, string> = {
    hang: 'answers nothing until flushed',
    slow: 'takes its time',
    late: 'carries it out when flushed',
    mute: 'answers no flush either',
  };
  const cell = ({ result, when }: Expected) => (result === 'waits' ? 'waits on' : `${result} ${when}`);
  const handled = { handler: 'no restart' } as const;
  const fatal = { handler: undefined };
  const rows = FAULTS.flatMap((fault) =>
    kinds.map(([kind, op]) => [
      about[fault],
      kind,
      ...MODES.map((mode) => cell(expected(op, handled, fault, mode))),
      cell(expected(op, fatal, fault, 'auto')),
    ]),
  );
  const head = ['The server', 'The call', ...MODES.map((mode) => `intr=${mode}`), 'killed (not off)'];
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}
