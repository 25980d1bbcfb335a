// Directories that a machine does not survive being covered: what mounts on one of them cuts every program off from /proc,
// the devices, the libraries or the sockets of services, itself included. Directories below most of them are fine.
// Guarantees: looks at paths only.

interface Vital {
  /** Those, and nothing below them. */
  readonly places: readonly string[];
  /** These too. */
  readonly patterns: readonly RegExp[];
}

/** Of every Unix. */
const COMMON = [
  '/',
  '/bin',
  '/dev',
  '/etc',
  '/sbin',
  '/tmp',
  '/usr',
  '/usr/bin',
  '/usr/lib',
  '/usr/libexec',
  '/usr/sbin',
];

const linux: Vital = {
  places: [
    ...COMMON,
    '/boot',
    '/proc',
    '/run',
    '/run/lock',
    '/run/user',
    '/sys',
    '/usr/share',
    '/var',
    '/var/cache',
    '/var/lib',
    '/var/log',
    '/var/run',
    '/var/spool',
  ],
  patterns: [
    /^\/(proc|sys)\//,
    // in /dev/shm users have directories of their own
    /^\/dev\/(?!shm\/.)/,
    /^\/run\/(dbus|systemd|udev)(\/|$)/,
    // a user's sockets; desktops mount on directories below it
    /^\/run\/user\/\d+$/,
    /^(\/usr)?\/lib(32|64|x32)?$/,
  ],
};

const darwin: Vital = {
  places: [
    ...COMMON,
    '/Applications',
    '/Library',
    '/System',
    '/Users',
    '/Volumes',
    '/private',
    '/private/etc',
    '/private/tmp',
    '/private/var',
    '/var',
  ],
  patterns: [/^\/(dev|System)\//],
};

/** Whether covering a canonical path breaks the machine. */
export function isVital(path: string, system: string = process.platform): boolean {
  const { places, patterns } = system === 'darwin' ? darwin : linux;
  return places.includes(path) || patterns.some((pattern) => pattern.test(path));
}

/** The line that refuses such a path. */
export function refuseVital(path: string): string {
  return `mountpoint ${path}: covering it breaks this machine; name a directory below /mnt, or insist with -o force`;
}
