/* Makes calls over and over while a signal with a handler that does nothing, and without SA_RESTART, comes HZ times a second.
 *     calls ROUNDS HZ OP PATH [OP PATH]...
 * A line for each OP in the end: its name, and how many calls succeeded, were interrupted, and failed otherwise, with the
 * last errno. Names that are made are removed again, and are this process's own: PATH.PID. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static void nothing(int number) { (void)number; }

/* What makes ready or cleans up is made again until no signal hits it. */
#define PERSIST(call) while ((call) < 0 && errno == EINTR)

static char buffer[256 * 1024];

struct task {
    const char *op, *path;
    char own[4096];
    int fd;
    long ok, interrupted, failed;
    int last;
};

static int is(const struct task *t, const char *op) { return strcmp(t->op, op) == 0; }

static void prepare(struct task *t) {
    snprintf(t->own, sizeof t->own, "%s.%d", t->path, (int)getpid());
    t->fd = -1;
    int flags = is(t, "read") ? O_RDONLY : is(t, "write") || is(t, "fsync") || is(t, "lock") ? O_RDWR : -1;
    if (flags < 0) return;
    do t->fd = open(t->path, flags);
    while (t->fd < 0 && errno == EINTR);
    if (t->fd < 0) {
        perror(t->path);
        exit(1);
    }
}

static long make_call(struct task *t) {
    long ret;
    if (is(t, "read")) return pread(t->fd, buffer, sizeof buffer, 0);
    if (is(t, "write")) return pwrite(t->fd, buffer, 4096, 0);
    if (is(t, "fsync")) return fsync(t->fd);
    if (is(t, "stat")) return access(t->path, F_OK);
    if (is(t, "getxattr")) {
        ret = getxattr(t->path, "user.none", buffer, 100);
        return ret < 0 && errno == ENODATA ? 0 : ret;
    }
    if (is(t, "lock")) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        ret = fcntl(t->fd, F_SETLKW, &lock);
        if (ret < 0) return ret;
        lock.l_type = F_UNLCK;
        PERSIST(fcntl(t->fd, F_SETLK, &lock));
        return ret;
    }
    if (is(t, "open") || is(t, "list")) {
        int list = is(t, "list");
        int fd = open(t->path, O_RDONLY | (list ? O_DIRECTORY : 0));
        if (fd < 0) return fd;
        ret = list ? syscall(SYS_getdents64, fd, buffer, sizeof buffer) : 0;
        int code = errno;
        close(fd);
        errno = code;
        return ret;
    }
    if (is(t, "create")) {
        int fd = open(t->own, O_RDWR | O_CREAT | O_EXCL, 0644);
        int code = errno;
        if (fd >= 0) close(fd);
        if (fd >= 0 || code == EINTR) PERSIST(unlink(t->own));
        errno = code;
        return fd;
    }
    if (is(t, "mkdir")) {
        ret = mkdir(t->own, 0755);
        int code = errno;
        PERSIST(rmdir(t->own));
        errno = code;
        return ret;
    }
    fprintf(stderr, "%s: no such op\n", t->op);
    exit(2);
}

int main(int argc, char **argv) {
    if (argc < 5) return 2;
    long rounds = atol(argv[1]), hz = atol(argv[2]);
    int count = (argc - 3) / 2;
    struct task *tasks = calloc(count, sizeof *tasks);

    struct sigaction act;
    memset(&act, 0, sizeof act);
    act.sa_handler = nothing;
    sigaction(SIGALRM, &act, NULL);
    for (int i = 0; i < count; i++) {
        tasks[i].op = argv[3 + 2 * i];
        tasks[i].path = argv[4 + 2 * i];
        prepare(&tasks[i]);
    }
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGALRM;
    timer_t timer;
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    struct itimerspec every = {{0, 1000000000L / hz}, {0, 1000000000L / hz}}, never = {{0, 0}, {0, 0}};
    timer_settime(timer, 0, &every, NULL);

    for (long round = 0; round < rounds; round++) {
        for (int i = 0; i < count; i++) {
            struct task *t = &tasks[i];
            if (make_call(t) >= 0) t->ok++;
            else if (errno == EINTR) t->interrupted++;
            else {
                t->failed++;
                t->last = errno;
            }
        }
    }
    timer_settime(timer, 0, &never, NULL);
    for (int i = 0; i < count; i++)
        printf("%s %ld %ld %ld %s\n", tasks[i].op, tasks[i].ok, tasks[i].interrupted, tasks[i].failed,
               tasks[i].last ? strerrorname_np(tasks[i].last) : "-");
    return 0;
}
