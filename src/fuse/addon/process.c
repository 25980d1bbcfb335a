/*
 * What Node does not let a process do to itself, and a process that serves a mount must: give up the descriptors that it
 * has inherited, become another program, hear of the signals that Node has no handlers for, and end as a signal ends it.
 *
 * Guarantees: the signal handler calls async-signal-safe functions only, and never takes a fault of our own (a null
 * pointer, abort()) for a signal that somebody sent: such a fault ends the process as it would without the handler.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "addon.h"

/* ---- descriptors, and another program ---------------------------------------------------------------------------- */

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4
#endif

/* Descriptors may have any number below the limit that was in force when they were made, so none is left out. */
static int mark_close_on_exec(unsigned first) {
  if (syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return 0;
  /* Before Linux 5.11 (EINVAL; ENOSYS before 5.9) one by one. */
  long limit = sysconf(_SC_OPEN_MAX);
  for (long fd = first; fd < limit; fd++) {
    int flags = fcntl((int)fd, F_GETFD);
    if (flags >= 0 && fcntl((int)fd, F_SETFD, flags | FD_CLOEXEC) < 0) return -errno;
  }
  return 0;
}

/* closeOnExec(first) -> 0 or a negative errno: no program that this process starts gets the descriptors from `first` on */
static napi_value close_on_exec(napi_env env, napi_callback_info info) {
  napi_value args[1];
  uint32_t first;
  if (!arguments(env, info, 1, args)) return NULL;
  CHECK(env, napi_get_value_uint32(env, args[0], &first));
  return number(env, mark_close_on_exec(first));
}

static void texts_free(char **texts) {
  for (char **text = texts; *text != NULL; text++) free(*text);
  free(texts);
}

/* An array of strings as execve(2) wants it; NULL with an exception. */
static char **texts_of(napi_env env, napi_value array) {
  uint32_t count;
  CHECK(env, napi_get_array_length(env, array, &count));
  char **texts = calloc((size_t)count + 1, sizeof *texts);
  if (texts == NULL) {
    fail(env, "no memory");
    return NULL;
  }
  for (uint32_t i = 0; i < count; i++) {
    napi_value text;
    if (napi_get_element(env, array, i, &text) != napi_ok || (texts[i] = text_of(env, text)) == NULL) {
      fail(env, "not an array of strings");
      texts_free(texts);
      return NULL;
    }
  }
  return texts;
}

/* execute(file, args, env) -> a negative errno; otherwise this process is the other program, with descriptors 0, 1, 2 only */
static napi_value execute(napi_env env, napi_callback_info info) {
  napi_value args[3];
  if (!arguments(env, info, 3, args)) return NULL;
  char *file = text_of(env, args[0]);
  char **words = file == NULL ? NULL : texts_of(env, args[1]);
  char **environment = words == NULL ? NULL : texts_of(env, args[2]);
  int failed = 0;
  if (environment != NULL) {
    failed = mark_close_on_exec(3);
    /* libuv marks the first sixteen when Node starts, these among them */
    for (int fd = 0; fd < 3; fd++) fcntl(fd, F_SETFD, 0);
    if (failed == 0) {
      execve(file, words, environment);
      failed = -errno;
    }
    texts_free(environment);
  }
  if (words != NULL) texts_free(words);
  free(file);
  return environment == NULL ? NULL : number(env, failed);
}

/* ---- signals ------------------------------------------------------------------------------------------------------ */

/* A handler of Node's for these would be run again and again: it returns to the instruction that failed. */
static const int faults[] = {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV};

static int caught[2] = {-1, -1};
/* Node has a handler of its own for SIGSEGV, for WebAssembly. */
static struct sigaction before[NSIG];

static void die_by(int signal) {
  struct sigaction normal = {.sa_handler = SIG_DFL};
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, signal);
  sigaction(signal, &normal, NULL);
  pthread_sigmask(SIG_UNBLOCK, &one, NULL);
  kill(getpid(), signal);
}

static bool is_fault(int signal) {
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
    if (faults[i] == signal) return true;
  return false;
}

static void on_signal(int signal, siginfo_t *info, void *context) {
  int error = errno;
  /* sigaction(2): si_code is above 0 for what the kernel sends; abort() and raise() name this process. */
  bool sent = info->si_code <= 0 && info->si_pid != getpid();
  if (is_fault(signal) && !sent) {
    if (before[signal].sa_flags & SA_SIGINFO) before[signal].sa_sigaction(signal, info, context);
    else die_by(signal);
  } else {
    unsigned char byte = (unsigned char)signal;
    /* A full pipe has signals enough in it. */
    if (write(caught[1], &byte, 1) < 0 && errno != EAGAIN) die_by(signal);
  }
  errno = error;
}

static int catch_one(int signal) {
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
  sigfillset(&action.sa_mask);
  return sigaction(signal, &action, &before[signal]) < 0 ? -errno : 0;
}

/* catchSignals() -> a descriptor, or a negative errno. From then on each signal that kills and that Node cannot be asked to
 * listen to (faults, if somebody sent them, and real-time signals) is a byte there: its number. The descriptor is never
 * closed. */
static napi_value catch_signals(napi_env env, napi_callback_info info) {
  (void)info;
  if (caught[0] >= 0) return number(env, caught[0]);
  if (pipe2(caught, O_CLOEXEC | O_NONBLOCK) < 0) return number(env, -errno);
  int failed = 0;
  for (size_t i = 0; i < sizeof faults / sizeof *faults && failed == 0; i++) failed = catch_one(faults[i]);
  for (int signal = SIGRTMIN; signal <= SIGRTMAX && failed == 0; signal++) failed = catch_one(signal);
  return number(env, failed < 0 ? failed : caught[0]);
}

/* dieBy(signal): ends the process as the signal does that has no handler */
static napi_value die_by_signal(napi_env env, napi_callback_info info) {
  napi_value args[1];
  int32_t signal;
  if (!arguments(env, info, 1, args)) return NULL;
  CHECK(env, napi_get_value_int32(env, args[0], &signal));
  if (signal < 1 || signal >= NSIG) {
    fail(env, "not a signal");
    return NULL;
  }
  die_by(signal);
  return NULL;
}

/* exit(code): ends the process at once. exit(3), which Node ends with, waits for every thread of libuv's pool. */
static napi_value exit_now(napi_env env, napi_callback_info info) {
  napi_value args[1];
  int32_t code;
  if (!arguments(env, info, 1, args)) return NULL;
  CHECK(env, napi_get_value_int32(env, args[0], &code));
  _exit(code);
}

napi_value define_process(napi_env env, napi_value exports) {
  napi_property_descriptor methods[] = {
      {"closeOnExec", NULL, close_on_exec, NULL, NULL, NULL, napi_enumerable, NULL},
      {"execute", NULL, execute, NULL, NULL, NULL, napi_enumerable, NULL},
      {"catchSignals", NULL, catch_signals, NULL, NULL, NULL, napi_enumerable, NULL},
      {"dieBy", NULL, die_by_signal, NULL, NULL, NULL, napi_enumerable, NULL},
      {"exit", NULL, exit_now, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  CHECK(env, napi_define_properties(env, exports, sizeof methods / sizeof *methods, methods));
  return exports;
}
