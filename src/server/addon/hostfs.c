/*
 * The system calls with which a directory of this machine is served and that Node lacks: what takes a directory's
 * descriptor and one name, so that no path is ever resolved twice; times in nanoseconds, device numbers, extended
 * attributes, directory cookies, open file description locks; acting as another user for the length of one call; and who
 * is at the other end of a unix socket.
 *
 * Guarantees: every function returns a negative errno instead of throwing for what the kernel says; it throws TypeError for
 * wrong arguments only. A name is the bytes that the string stands for (common/text.ts), and -EILSEQ where it stands for none. A
 * name that holds `/` never reaches a system call. All run on the calling thread; what may wait for a disk for long (large
 * reads and writes, fsync) is not here.
 *
 * An O_PATH descriptor stands for its inode, also for a symbolic link; calls that the kernel has for paths only go through
 * /proc/self/fd/N, a link that leads to that very inode and nowhere further.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <node_api.h>

#define MAX_ARGS 6
/* Names are as long as their file system likes (vfat counts characters), within the PATH_MAX that the kernel copies in. Text is
 * cut between characters, so the room for one more of them is what keeps a text that was cut too long for the kernel: the
 * kernel refuses it, and never takes it for a shorter name. */
#define TEXT_ROOM (PATH_MAX + 8)
#define LINK_ROOM 40
#define GROUPS_MAX 65536

typedef struct {
  napi_env env;
  napi_value value[MAX_ARGS];
  bool bad;
  /* the errno to answer with where that is no TypeError */
  int refused;
} args;

static args take(napi_env env, napi_callback_info info, size_t count) {
  args a = {.env = env};
  size_t given = MAX_ARGS;
  a.bad = napi_get_cb_info(env, info, &given, a.value, NULL, NULL) != napi_ok || given < count;
  return a;
}

static int64_t integer(args *a, int i) {
  int64_t value = 0;
  if (!a->bad && napi_get_value_int64(a->env, a->value[i], &value) != napi_ok) a->bad = true;
  return value;
}

static int64_t big(args *a, int i) {
  int64_t value = 0;
  bool lossless = false;
  if (!a->bad && napi_get_value_bigint_int64(a->env, a->value[i], &value, &lossless) != napi_ok) a->bad = true;
  return value;
}

static bool is_high(char16_t unit) { return unit >= 0xd800 && unit <= 0xdbff; }
static bool is_low(char16_t unit) { return unit >= 0xdc00 && unit <= 0xdfff; }

/* The bytes of one character, of which `out` has room for four; its units are `in[0]` and, for a pair, `in[1]`. Returns their
 * number, 0 for a lone surrogate that stands for no byte. */
static size_t encode(const char16_t *in, bool pair, char *out) {
  uint32_t code = in[0];
  size_t count = 0;
  if (pair) {
    code = 0x10000 + ((code - 0xd800) << 10) + (in[1] - 0xdc00u);
    out[count++] = (char)(0xf0 | code >> 18);
    out[count++] = (char)(0x80 | (code >> 12 & 0x3f));
    out[count++] = (char)(0x80 | (code >> 6 & 0x3f));
  } else if (code >= 0xdc80 && code <= 0xdcff) {
    out[0] = (char)(code - 0xdc00);
    return 1;
  } else if (is_high(in[0]) || is_low(in[0])) {
    return 0;
  } else if (code < 0x80) {
    out[0] = (char)code;
    return 1;
  } else if (code < 0x800) {
    out[count++] = (char)(0xc0 | code >> 6);
  } else {
    out[count++] = (char)(0xe0 | code >> 12);
    out[count++] = (char)(0x80 | (code >> 6 & 0x3f));
  }
  out[count++] = (char)(0x80 | (code & 0x3f));
  return count;
}

/* Node's own conversion makes every lone surrogate U+FFFD, and one file of many. A string of more units than there is room for
 * comes cut; no unit has less than one byte, so that the room for bytes is full before the cut is reached. */
static void text(args *a, int i, char *out, size_t room) {
  char16_t units[TEXT_ROOM];
  size_t count = 0, at = 0;
  out[0] = 0;
  if (!a->bad && napi_get_value_string_utf16(a->env, a->value[i], units, TEXT_ROOM, &count) != napi_ok) a->bad = true;
  if (a->bad) return;
  for (size_t u = 0; u < count && at + 4 < room;) {
    bool pair = u + 1 < count && is_high(units[u]) && is_low(units[u + 1]);
    size_t bytes = encode(units + u, pair, out + at);
    if (bytes == 0) a->refused = EILSEQ;
    if (bytes == 0 || units[u] == 0) a->bad = true;
    if (a->bad) break;
    at += bytes;
    u += pair ? 2 : 1;
  }
  out[at] = 0;
}

/* One component. */
static void name(args *a, int i, char *out) {
  text(a, i, out, TEXT_ROOM);
  if (strchr(out, '/') != NULL) a->bad = true;
}

static struct iovec bytes(args *a, int i) {
  struct iovec found = {0};
  napi_typedarray_type type;
  if (!a->bad && (napi_get_typedarray_info(a->env, a->value[i], &type, &found.iov_len, &found.iov_base, NULL, NULL) !=
                      napi_ok ||
                  type != napi_uint8_array))
    a->bad = true;
  return found;
}

/* The memory of a Float64Array of at least `count` elements, into which results go. */
static double *numbers(args *a, int i, size_t count) {
  napi_typedarray_type type;
  size_t length = 0;
  void *data = NULL;
  if (!a->bad && (napi_get_typedarray_info(a->env, a->value[i], &type, &length, &data, NULL, NULL) != napi_ok ||
                  type != napi_float64_array || length < count))
    a->bad = true;
  return data;
}

static napi_value give(args *a, int64_t result) {
  napi_value value = NULL;
  if (a->bad && a->refused == 0) {
    bool pending = false;
    napi_is_exception_pending(a->env, &pending);
    if (!pending) napi_throw_type_error(a->env, "ERR_INVALID_ARG_TYPE", "hostfs: wrong arguments");
    return NULL;
  }
  if (a->bad) result = -a->refused;
  else if (result < 0) result = -errno;
  napi_create_int64(a->env, result, &value);
  return value;
}

static const char *link_of(char *out, int64_t fd) {
  snprintf(out, LINK_ROOM, "/proc/self/fd/%d", (int)fd);
  return out;
}

#define CALL(fn, count) static napi_value fn(napi_env env, napi_callback_info info) { args a = take(env, info, count);
#define END(expression) return give(&a, a.bad ? 0 : (int64_t)(expression)); }

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

/* root(path): the one path that is resolved as a path */
CALL(host_root, 1)
  char path[TEXT_ROOM];
  text(&a, 0, path, sizeof path);
  END(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC))

/* Modes are the client's, its umask applied already; ours must not be applied to them. It is the process's, so it is
 * away for the length of one system call only. */
#define UNMASKED(expression) \
  __extension__({ \
    mode_t mask = umask(0); \
    int64_t unmasked = (expression); \
    int error = errno; \
    umask(mask); \
    errno = error; \
    unmasked; \
  })

/* openat(dirfd, name, flags, mode) */
CALL(host_openat, 4)
  char n[TEXT_ROOM];
  int dir = (int)integer(&a, 0), flags = (int)integer(&a, 2);
  mode_t mode = (mode_t)integer(&a, 3);
  name(&a, 1, n);
  if (flags & O_CREAT) return give(&a, a.bad ? 0 : UNMASKED(openat(dir, n, flags | O_CLOEXEC | O_NOFOLLOW, mode)));
  END(openat(dir, n, flags | O_CLOEXEC | O_NOFOLLOW))

/* reopen(fd, flags): the same inode, opened anew, with the permission check that belongs to it */
CALL(host_reopen, 2)
  char link[LINK_ROOM];
  int64_t fd = integer(&a, 0);
  int flags = (int)integer(&a, 1);
  END(open(link_of(link, fd), flags | O_CLOEXEC))

CALL(host_close, 1)
  int64_t fd = integer(&a, 0);
  END(close((int)fd))

/* ---- attributes -------------------------------------------------------------------------------------------------- */

#define STAT_FIELDS 21

/* stat(fd, out), and statat(dirfd, name, out) of a symbolic link itself: ino (low, high), dev (major, minor), mode, nlink,
 * uid, gid, rdev (major, minor), size, blksize, blocks, then atime, mtime, ctime, btime, each seconds and nanoseconds;
 * btime's nanoseconds are -1 when it is not known */
static int stat_into(double *out, int dir, const char *path, int flags) {
  struct statx x;
  if (statx(dir, path, flags, STATX_BASIC_STATS | STATX_BTIME, &x) < 0) return -1;
  int i = 0;
  out[i++] = (double)(uint32_t)x.stx_ino;
  out[i++] = (double)(uint32_t)(x.stx_ino >> 32);
  out[i++] = x.stx_dev_major;
  out[i++] = x.stx_dev_minor;
  out[i++] = x.stx_mode;
  out[i++] = x.stx_nlink;
  out[i++] = x.stx_uid;
  out[i++] = x.stx_gid;
  out[i++] = x.stx_rdev_major;
  out[i++] = x.stx_rdev_minor;
  out[i++] = (double)x.stx_size;
  out[i++] = x.stx_blksize;
  out[i++] = (double)x.stx_blocks;
  const struct statx_timestamp *times[] = {&x.stx_atime, &x.stx_mtime, &x.stx_ctime, &x.stx_btime};
  for (int t = 0; t < 4; t++) {
    out[i++] = (double)times[t]->tv_sec;
    out[i++] = times[t]->tv_nsec;
  }
  if (!(x.stx_mask & STATX_BTIME)) out[i - 1] = -1;
  return 0;
}

CALL(host_stat, 2)
  int64_t fd = integer(&a, 0);
  double *out = numbers(&a, 1, STAT_FIELDS);
  END(stat_into(out, (int)fd, "", AT_EMPTY_PATH))

CALL(host_statat, 3)
  char n[TEXT_ROOM];
  int64_t dir = integer(&a, 0);
  name(&a, 1, n);
  double *out = numbers(&a, 2, STAT_FIELDS);
  END(stat_into(out, (int)dir, n, AT_SYMLINK_NOFOLLOW))

CALL(host_chmod, 2)
  char link[LINK_ROOM];
  int64_t fd = integer(&a, 0), mode = integer(&a, 1);
  END(chmod(link_of(link, fd), (mode_t)mode))

/* chown(fd, uid, gid): 4294967295 leaves an id alone */
CALL(host_chown, 3)
  int64_t fd = integer(&a, 0), uid = integer(&a, 1), gid = integer(&a, 2);
  END(fchownat((int)fd, "", (uid_t)uid, (gid_t)gid, AT_EMPTY_PATH))

CALL(host_truncate, 2)
  char link[LINK_ROOM];
  int64_t fd = integer(&a, 0), size = integer(&a, 1);
  END(truncate(link_of(link, fd), size))

CALL(host_ftruncate, 2)
  int64_t fd = integer(&a, 0), size = integer(&a, 1);
  END(ftruncate((int)fd, size))

/* utimens(fd, atime, nanoseconds, mtime, nanoseconds); UTIME_NOW and UTIME_OMIT as in utimensat(2) */
CALL(host_utimens, 5)
  char link[LINK_ROOM];
  int64_t fd = integer(&a, 0);
  struct timespec times[2] = {{.tv_sec = integer(&a, 1), .tv_nsec = integer(&a, 2)},
                              {.tv_sec = integer(&a, 3), .tv_nsec = integer(&a, 4)}};
  END(utimensat(AT_FDCWD, link_of(link, fd), times, 0))

/* statfs(fd, out): bsize, blocks, bfree, bavail, files, ffree, fsid (low, high), namelen */
CALL(host_statfs, 2)
  struct statfs s;
  int64_t fd = integer(&a, 0);
  double *out = numbers(&a, 1, 9);
  if (a.bad) return give(&a, 0);
  if (fstatfs((int)fd, &s) < 0) return give(&a, -1);
  uint32_t id[2];
  memcpy(id, &s.f_fsid, sizeof id);
  const double values[] = {(double)s.f_bsize, (double)s.f_blocks, (double)s.f_bfree, (double)s.f_bavail, (double)s.f_files,
                           (double)s.f_ffree, id[0], id[1], (double)s.f_namelen};
  memcpy(out, values, sizeof values);
  return give(&a, 0);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

CALL(host_mkdirat, 3)
  char n[TEXT_ROOM];
  int64_t dir = integer(&a, 0), mode = integer(&a, 2);
  name(&a, 1, n);
  END(UNMASKED(mkdirat((int)dir, n, (mode_t)mode)))

/* mknodat(dirfd, name, mode, major, minor) */
CALL(host_mknodat, 5)
  char n[TEXT_ROOM];
  int64_t dir = integer(&a, 0), mode = integer(&a, 2), high = integer(&a, 3), low = integer(&a, 4);
  name(&a, 1, n);
  END(UNMASKED(mknodat((int)dir, n, (mode_t)mode, makedev((unsigned)high, (unsigned)low))))

/* symlinkat(target, dirfd, name) */
CALL(host_symlinkat, 3)
  char target[TEXT_ROOM], n[TEXT_ROOM];
  text(&a, 0, target, sizeof target);
  int64_t dir = integer(&a, 1);
  name(&a, 2, n);
  END(symlinkat(target, (int)dir, n))

/* linkat(fd, dirfd, name) */
CALL(host_linkat, 3)
  char link[LINK_ROOM], n[TEXT_ROOM];
  int64_t fd = integer(&a, 0), dir = integer(&a, 1);
  name(&a, 2, n);
  END(linkat(AT_FDCWD, link_of(link, fd), (int)dir, n, AT_SYMLINK_FOLLOW))

/* unlinkat(dirfd, name, flags) */
CALL(host_unlinkat, 3)
  char n[TEXT_ROOM];
  int64_t dir = integer(&a, 0), flags = integer(&a, 2);
  name(&a, 1, n);
  END(unlinkat((int)dir, n, (int)flags))

/* renameat(dirfd, name, dirfd, name) */
CALL(host_renameat, 4)
  char from[TEXT_ROOM], to[TEXT_ROOM];
  int64_t old_dir = integer(&a, 0), new_dir = integer(&a, 2);
  name(&a, 1, from);
  name(&a, 3, to);
  END(renameat((int)old_dir, from, (int)new_dir, to))

/* readlink(fd, buffer): bytes of the target */
CALL(host_readlink, 2)
  int64_t fd = integer(&a, 0);
  struct iovec out = bytes(&a, 1);
  END(readlinkat((int)fd, "", out.iov_base, out.iov_len))

/* ---- extended attributes ----------------------------------------------------------------------------------------- */

CALL(host_getxattr, 3)
  char link[LINK_ROOM], n[TEXT_ROOM];
  int64_t fd = integer(&a, 0);
  text(&a, 1, n, sizeof n);
  struct iovec out = bytes(&a, 2);
  END(getxattr(link_of(link, fd), n, out.iov_base, out.iov_len))

CALL(host_setxattr, 4)
  char link[LINK_ROOM], n[TEXT_ROOM];
  int64_t fd = integer(&a, 0), flags = integer(&a, 3);
  text(&a, 1, n, sizeof n);
  struct iovec value = bytes(&a, 2);
  END(setxattr(link_of(link, fd), n, value.iov_base, value.iov_len, (int)flags))

CALL(host_listxattr, 2)
  char link[LINK_ROOM];
  int64_t fd = integer(&a, 0);
  struct iovec out = bytes(&a, 1);
  END(listxattr(link_of(link, fd), out.iov_base, out.iov_len))

CALL(host_removexattr, 2)
  char link[LINK_ROOM], n[TEXT_ROOM];
  int64_t fd = integer(&a, 0);
  text(&a, 1, n, sizeof n);
  END(removexattr(link_of(link, fd), n))

/* ---- open files -------------------------------------------------------------------------------------------------- */

/* getdents(fd, buffer): bytes of struct linux_dirent64 */
CALL(host_getdents, 2)
  int64_t fd = integer(&a, 0);
  struct iovec out = bytes(&a, 1);
  END(syscall(SYS_getdents64, (int)fd, out.iov_base, out.iov_len))

/* seekdir(fd, cookie): a d_off of getdents, or 0n */
CALL(host_seekdir, 2)
  int64_t fd = integer(&a, 0), cookie = big(&a, 1);
  END(lseek((int)fd, cookie, SEEK_SET) < 0 ? -1 : 0)

/* pread(fd, buffer, count, offset): what is in the page cache; -EAGAIN, or fewer bytes, where a disk would be waited for */
CALL(host_pread, 4)
  int64_t fd = integer(&a, 0), count = integer(&a, 2), offset = integer(&a, 3);
  struct iovec out = bytes(&a, 1);
  if (count < 0 || (uint64_t)count > out.iov_len) a.bad = true;
  out.iov_len = (size_t)count;
  END(preadv2((int)fd, &out, 1, offset, RWF_NOWAIT))

/* pwrite(fd, bytes, offset) */
CALL(host_pwrite, 3)
  int64_t fd = integer(&a, 0), offset = integer(&a, 2);
  struct iovec in = bytes(&a, 1);
  END(pwrite((int)fd, in.iov_base, in.iov_len, offset))

static struct flock flock_of(args *a) {
  static const short types[] = {F_RDLCK, F_WRLCK, F_UNLCK};
  int64_t type = integer(a, 1), start = big(a, 2), end = big(a, 3);
  struct flock lock = {.l_whence = SEEK_SET, .l_start = start};
  if (type < 0 || type > 2) a->bad = true;
  else lock.l_type = types[type];
  lock.l_len = end == INT64_MAX ? 0 : end - start + 1;
  return lock;
}

/* lock(fd, type, start, end): of the open file description; end is inclusive, 2^63-1 for all that follows */
CALL(host_lock, 4)
  int64_t fd = integer(&a, 0);
  struct flock lock = flock_of(&a);
  END(fcntl((int)fd, F_OFD_SETLK, &lock))

/* getlock(fd, type, start, end, out): 1 and [type, start, length (0: to the end), pid] of a lock in the way, or 0 */
CALL(host_getlock, 5)
  int64_t fd = integer(&a, 0);
  struct flock lock = flock_of(&a);
  double *out = numbers(&a, 4, 4);
  if (a.bad) return give(&a, 0);
  if (fcntl((int)fd, F_OFD_GETLK, &lock) < 0) return give(&a, -1);
  if (lock.l_type == F_UNLCK) return give(&a, 0);
  out[0] = lock.l_type == F_RDLCK ? 0 : 1;
  out[1] = (double)lock.l_start;
  out[2] = (double)lock.l_len;
  out[3] = lock.l_pid;
  return give(&a, 1);
}

/* ---- identity ---------------------------------------------------------------------------------------------------- */

#ifdef SYS_setgroups32
#define SETGROUPS SYS_setgroups32
#else
#define SETGROUPS SYS_setgroups
#endif

static gid_t own_groups[GROUPS_MAX];
static int own_count;

/* The raw system call changes this thread only; the C library's would change every thread. */
static int set_groups(int count, const gid_t *groups) { return (int)syscall(SETGROUPS, (size_t)count, groups); }

static void become_self(void) {
  setfsuid(geteuid());
  setfsgid(getegid());
  set_groups(own_count, own_groups);
}

/* assume(uid, gid, groups): file system calls of this thread are that user's, with no privileges but root's own, until
 * resume(). fsuid and fsgid are what the kernel has for this; leaving 0 takes the capabilities over files away. */
CALL(host_assume, 3)
  int64_t uid = integer(&a, 0), gid = integer(&a, 1);
  napi_typedarray_type type;
  size_t count = 0;
  void *groups = NULL;
  if (!a.bad && (napi_get_typedarray_info(env, a.value[2], &type, &count, &groups, NULL, NULL) != napi_ok ||
                 type != napi_uint32_array || count > GROUPS_MAX))
    a.bad = true;
  if (a.bad) return give(&a, 0);
  if (set_groups((int)count, groups) < 0) return give(&a, -1);
  setfsgid((gid_t)gid);
  setfsuid((uid_t)uid);
  /* neither says whether it worked; an id that nobody can have only asks */
  if (setfsuid((uid_t)-1) != (int)uid || setfsgid((gid_t)-1) != (int)gid) {
    become_self();
    errno = EPERM;
    return give(&a, -1);
  }
  return give(&a, 0);
}

CALL(host_resume, 0)
  become_self();
  END(0)

/* ---- sockets ----------------------------------------------------------------------------------------------------- */

/* peer(fd): the uid of the process that connected to this unix socket, as it was when it did (unix(7)); -ENODATA where the
 * kernel knows of none */
CALL(host_peer, 1)
  int64_t fd = integer(&a, 0);
  struct ucred who = {.uid = (uid_t)-1};
  socklen_t size = sizeof who;
  if (a.bad) return give(&a, 0);
  if (getsockopt((int)fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0) return give(&a, -1);
  if (who.uid == (uid_t)-1) {
    errno = ENODATA;
    return give(&a, -1);
  }
  return give(&a, who.uid);
}

#define METHOD(name, fn) {name, NULL, fn, NULL, NULL, NULL, napi_enumerable, NULL}

NAPI_MODULE_INIT() {
  own_count = getgroups(GROUPS_MAX, own_groups);
  if (own_count < 0) own_count = 0;
  napi_property_descriptor methods[] = {
      METHOD("root", host_root),           METHOD("openat", host_openat),
      METHOD("reopen", host_reopen),       METHOD("close", host_close),
      METHOD("stat", host_stat),           METHOD("statat", host_statat),
      METHOD("chmod", host_chmod),         METHOD("chown", host_chown),
      METHOD("truncate", host_truncate),   METHOD("ftruncate", host_ftruncate),
      METHOD("utimens", host_utimens),     METHOD("statfs", host_statfs),
      METHOD("mkdirat", host_mkdirat),     METHOD("mknodat", host_mknodat),
      METHOD("symlinkat", host_symlinkat), METHOD("linkat", host_linkat),
      METHOD("unlinkat", host_unlinkat),   METHOD("renameat", host_renameat),
      METHOD("readlink", host_readlink),   METHOD("getxattr", host_getxattr),
      METHOD("setxattr", host_setxattr),   METHOD("listxattr", host_listxattr),
      METHOD("removexattr", host_removexattr), METHOD("getdents", host_getdents),
      METHOD("seekdir", host_seekdir),     METHOD("pread", host_pread),
      METHOD("pwrite", host_pwrite),       METHOD("lock", host_lock),
      METHOD("getlock", host_getlock),     METHOD("assume", host_assume),
      METHOD("resume", host_resume),       METHOD("peer", host_peer),
  };
  if (napi_define_properties(env, exports, sizeof methods / sizeof *methods, methods) != napi_ok) {
    napi_throw_error(env, NULL, "hostfs: cannot define its functions");
    return NULL;
  }
  return exports;
}
