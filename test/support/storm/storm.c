/* Preloaded into a program, sends it a signal 200 times a second, as Go's runtime does to preempt its threads (SIGURG) and
 * programs with an interval timer do (SIGALRM). The handler does nothing and is installed with SA_RESTART: without it
 * hardly any program works on any file system. STORM_SIGNAL: the signal's number; STORM_HZ: how often, 200 by default.
 * A program that wants the signal for itself is told that it has it (gcc's collect2 would take SIGALRM for its end). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void nothing(int number) { (void)number; }

static int storm_signal(void) {
    const char *which = getenv("STORM_SIGNAL");
    return which ? atoi(which) : SIGURG;
}

static int real_sigaction(int number, const struct sigaction *act, struct sigaction *old) {
    static int (*real)(int, const struct sigaction *, struct sigaction *);
    if (!real) real = (int (*)(int, const struct sigaction *, struct sigaction *))dlsym(RTLD_NEXT, "sigaction");
    return real(number, act, old);
}

static void handle(int number, void (*handler)(int)) {
    struct sigaction act;
    memset(&act, 0, sizeof act);
    act.sa_handler = handler;
    act.sa_flags = SA_RESTART;
    real_sigaction(number, &act, NULL);
}

int sigaction(int number, const struct sigaction *act, struct sigaction *old) {
    return real_sigaction(number, number == storm_signal() ? NULL : act, old);
}

__sighandler_t signal(int number, __sighandler_t handler) {
    static __sighandler_t (*real)(int, __sighandler_t);
    if (number == storm_signal()) return SIG_DFL;
    if (!real) real = (__sighandler_t(*)(int, __sighandler_t))dlsym(RTLD_NEXT, "signal");
    return real(number, handler);
}

/* Timers are the process's own: fork has none, exec ends them, so that each image begins its own. */
static void begin(void) {
    const char *often = getenv("STORM_HZ");
    int number = storm_signal();
    long hz = often ? atol(often) : 200;
    if (number <= 0 || hz <= 0) return;
    handle(number, nothing);

    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = number;
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) return;
    struct itimerspec every = {{0, 1000000000L / hz}, {0, 1000000000L / hz}};
    timer_settime(timer, 0, &every, NULL);
}

__attribute__((constructor)) static void load(void) {
    begin();
    pthread_atfork(NULL, NULL, begin);
}

/* exec sets handlers back, and a signal that was on its way would kill the new image before it has its own. What is ignored
 * stays so. */
#define EXEC(name, types, values)                                 \
    int name types {                                              \
        int(*real) types = (int(*) types)dlsym(RTLD_NEXT, #name); \
        handle(storm_signal(), SIG_IGN);                          \
        int failed = real values;                                 \
        handle(storm_signal(), nothing);                          \
        return failed;                                            \
    }

EXEC(execve, (const char *path, char *const argv[], char *const envp[]), (path, argv, envp))
EXEC(execv, (const char *path, char *const argv[]), (path, argv))
EXEC(execvp, (const char *file, char *const argv[]), (file, argv))
EXEC(execvpe, (const char *file, char *const argv[], char *const envp[]), (file, argv, envp))
