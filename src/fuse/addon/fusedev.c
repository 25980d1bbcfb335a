/*
 * The system calls that Node does not offer and that /dev/fuse needs: poll a descriptor on Node's own event loop,
 * read and write it without a thread, mount(2), umount2(2), and a socket pair over which fusermount3 passes the
 * descriptor it opened.
 *
 * Guarantees: Node-API and libuv's stable C interface only, so one binary serves every Node. poll, read, write, writev
 * and receiveFd return a negative errno and never throw for what the kernel says; they never block when the descriptor is
 * non-blocking, which poll() makes it. mount and umount2 run on libuv's thread pool and settle a promise: umount2 may
 * write dirty pages back through the very process that calls it, and would wait for itself on the loop's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <uv.h>

#include "addon.h"

#ifndef IOV_MAX
#define IOV_MAX 1024
#endif

/* ---- poll ------------------------------------------------------------------------------------------------------ */

/* One watched descriptor. libuv owns the memory from uv_poll_init until the close callback. `wrapper` keeps the
 * JavaScript handle alive while it polls, so that a forgotten handle is not collected under the kernel's feet. */
typedef struct {
  uv_poll_t poll;
  napi_env env;
  napi_ref callback;
  napi_ref wrapper;
  napi_async_context context;
  enum { POLLING, CLOSING, CLOSED } state;
  bool collected;
} watch;

static void watch_closed(uv_handle_t *handle) {
  watch *w = handle->data;
  w->state = CLOSED;
  if (w->collected) free(w);
}

static void watch_stop(watch *w) {
  if (w->state != POLLING) return;
  w->state = CLOSING;
  uv_poll_stop(&w->poll);
  napi_async_destroy(w->env, w->context);
  napi_delete_reference(w->env, w->callback);
  /* Gives the wrapper back to the collector; its finalizer frees what is left. */
  napi_delete_reference(w->env, w->wrapper);
  uv_close((uv_handle_t *)&w->poll, watch_closed);
}

static void watch_env_gone(void *data) { watch_stop(data); }

static void watch_collected(napi_env env, void *data, void *hint) {
  (void)hint;
  watch *w = data;
  w->collected = true;
  if (w->state == POLLING) {
    napi_remove_env_cleanup_hook(env, watch_env_gone, w);
    watch_stop(w);
  } else if (w->state == CLOSED) {
    free(w);
  }
}

/* libuv reports POLLERR (a dead /dev/fuse) as an error status and stops the watch; the reader is called all the same
 * and learns the cause from read(2). */
static void watch_ready(uv_poll_t *poll, int status, int events) {
  (void)events;
  watch *w = poll->data;
  napi_env env = w->env;
  napi_handle_scope scope;
  napi_value callback, wrapper, argument, result;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  if (napi_get_reference_value(env, w->callback, &callback) == napi_ok &&
      napi_get_reference_value(env, w->wrapper, &wrapper) == napi_ok &&
      napi_create_int32(env, status, &argument) == napi_ok) {
    /* make_callback and not call_function: it runs the microtasks and next ticks that the callback left behind. */
    if (napi_make_callback(env, w->context, wrapper, callback, 1, &argument, &result) == napi_pending_exception) {
      napi_value error;
      if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
    }
  }
  napi_close_handle_scope(env, scope);
}

static watch *watch_of(napi_env env, napi_callback_info info) {
  napi_value self;
  void *data = NULL;
  if (napi_get_cb_info(env, info, NULL, NULL, &self, NULL) != napi_ok || napi_unwrap(env, self, &data) != napi_ok) {
    fail(env, "not a poll handle");
    return NULL;
  }
  return data;
}

static napi_value handle_close(napi_env env, napi_callback_info info) {
  watch *w = watch_of(env, info);
  if (w != NULL && w->state == POLLING) {
    napi_remove_env_cleanup_hook(env, watch_env_gone, w);
    watch_stop(w);
  }
  return NULL;
}

static napi_value handle_ref(napi_env env, napi_callback_info info) {
  watch *w = watch_of(env, info);
  if (w != NULL && w->state == POLLING) uv_ref((uv_handle_t *)&w->poll);
  return NULL;
}

static napi_value handle_unref(napi_env env, napi_callback_info info) {
  watch *w = watch_of(env, info);
  if (w != NULL && w->state == POLLING) uv_unref((uv_handle_t *)&w->poll);
  return NULL;
}

/* poll(fd, onReadable) -> handle, or a negative errno */
static napi_value poll_start(napi_env env, napi_callback_info info) {
  napi_value args[2], wrapper, name;
  int32_t fd;
  uv_loop_t *loop;
  if (!arguments(env, info, 2, args)) return NULL;
  CHECK(env, napi_get_value_int32(env, args[0], &fd));
  napi_valuetype type;
  CHECK(env, napi_typeof(env, args[1], &type));
  if (type != napi_function) {
    fail(env, "onReadable is not a function");
    return NULL;
  }
  CHECK(env, napi_get_uv_event_loop(env, &loop));

  napi_property_descriptor methods[] = {
      {"close", NULL, handle_close, NULL, NULL, NULL, napi_default_method, NULL},
      {"ref", NULL, handle_ref, NULL, NULL, NULL, napi_default_method, NULL},
      {"unref", NULL, handle_unref, NULL, NULL, NULL, napi_default_method, NULL},
  };
  CHECK(env, napi_create_object(env, &wrapper));
  CHECK(env, napi_define_properties(env, wrapper, sizeof methods / sizeof *methods, methods));
  CHECK(env, napi_create_string_utf8(env, "ninefs:fuse", NAPI_AUTO_LENGTH, &name));

  watch *w = calloc(1, sizeof *w);
  if (w == NULL) return number(env, -ENOMEM);
  w->env = env;
  w->poll.data = w;
  int status = uv_poll_init(loop, &w->poll, fd);
  if (status < 0) {
    free(w);
    return number(env, status);
  }
  w->state = POLLING;
  if (napi_async_init(env, wrapper, name, &w->context) != napi_ok ||
      napi_create_reference(env, args[1], 1, &w->callback) != napi_ok ||
      napi_wrap(env, wrapper, w, watch_collected, NULL, NULL) != napi_ok ||
      napi_create_reference(env, wrapper, 1, &w->wrapper) != napi_ok ||
      napi_add_env_cleanup_hook(env, watch_env_gone, w) != napi_ok) {
    napi_fatal_error("fusedev", NAPI_AUTO_LENGTH, "cannot set up a poll handle", NAPI_AUTO_LENGTH);
  }
  status = uv_poll_start(&w->poll, UV_READABLE, watch_ready);
  if (status < 0) {
    napi_remove_env_cleanup_hook(env, watch_env_gone, w);
    watch_stop(w);
    return number(env, status);
  }
  return wrapper;
}

/* ---- read and write -------------------------------------------------------------------------------------------- */

/* read(fd, buffer, offset, length) -> bytes read or a negative errno */
static napi_value device_read(napi_env env, napi_callback_info info) {
  napi_value args[4];
  int32_t fd;
  uint32_t offset, length;
  void *data;
  size_t size;
  if (!arguments(env, info, 4, args)) return NULL;
  CHECK(env, napi_get_value_int32(env, args[0], &fd));
  CHECK(env, napi_get_buffer_info(env, args[1], &data, &size));
  CHECK(env, napi_get_value_uint32(env, args[2], &offset));
  CHECK(env, napi_get_value_uint32(env, args[3], &length));
  if (offset > size || length > size - offset) {
    fail(env, "range outside the buffer");
    return NULL;
  }
  ssize_t n = read(fd, (char *)data + offset, length);
  return number(env, n < 0 ? -errno : n);
}

/* write(fd, buffer, length) -> bytes written or a negative errno: one reply in one piece, from the buffer's start */
static napi_value device_write(napi_env env, napi_callback_info info) {
  napi_value args[3];
  int32_t fd;
  uint32_t length;
  void *data;
  size_t size;
  if (!arguments(env, info, 3, args)) return NULL;
  CHECK(env, napi_get_value_int32(env, args[0], &fd));
  CHECK(env, napi_get_buffer_info(env, args[1], &data, &size));
  CHECK(env, napi_get_value_uint32(env, args[2], &length));
  if (length > size) {
    fail(env, "range outside the buffer");
    return NULL;
  }
  ssize_t n = write(fd, data, length);
  return number(env, n < 0 ? -errno : n);
}

/* Any Uint8Array, so that no caller needs to wrap a view into a Buffer first. */
static bool bytes_of(napi_env env, napi_value value, struct iovec *out) {
  napi_typedarray_type type;
  if (napi_get_typedarray_info(env, value, &type, &out->iov_len, &out->iov_base, NULL, NULL) == napi_ok &&
      type == napi_uint8_array)
    return true;
  fail(env, "not a Uint8Array");
  return false;
}

/* writev(fd, head, headLength, pieces) -> bytes written or a negative errno: the head's first bytes, then every piece */
static napi_value device_writev(napi_env env, napi_callback_info info) {
  napi_value args[4];
  int32_t fd;
  uint32_t length, count;
  if (!arguments(env, info, 4, args)) return NULL;
  CHECK(env, napi_get_value_int32(env, args[0], &fd));
  CHECK(env, napi_get_value_uint32(env, args[2], &length));
  CHECK(env, napi_get_array_length(env, args[3], &count));
  if (count >= IOV_MAX) return number(env, -EINVAL);
  struct iovec pieces[IOV_MAX];
  if (!bytes_of(env, args[1], &pieces[0])) return NULL;
  if (length > pieces[0].iov_len) {
    fail(env, "range outside the buffer");
    return NULL;
  }
  pieces[0].iov_len = length;
  for (uint32_t i = 0; i < count; i++) {
    napi_value piece;
    CHECK(env, napi_get_element(env, args[3], i, &piece));
    if (!bytes_of(env, piece, &pieces[i + 1])) return NULL;
  }
  ssize_t n = writev(fd, pieces, (int)count + 1);
  return number(env, n < 0 ? -errno : n);
}

/* ---- mount and umount2, on the thread pool ------------------------------------------------------------------------ */

typedef struct {
  napi_async_work work;
  napi_deferred deferred;
  bool unmount;
  char *source, *target, *type, *data;
  uint32_t flags;
  int result;
} mounting;

static void mounting_free(mounting *m) {
  free(m->source);
  free(m->target);
  free(m->type);
  free(m->data);
  free(m);
}

static void mounting_run(napi_env env, void *data) {
  (void)env;
  mounting *m = data;
  int status = m->unmount ? umount2(m->target, (int)m->flags) : mount(m->source, m->target, m->type, m->flags, m->data);
  m->result = status < 0 ? -errno : 0;
}

static void mounting_done(napi_env env, napi_status status, void *data) {
  mounting *m = data;
  napi_value result;
  if (status == napi_cancelled) m->result = -ECANCELED;
  if (napi_create_int32(env, m->result, &result) == napi_ok) napi_resolve_deferred(env, m->deferred, result);
  napi_delete_async_work(env, m->work);
  mounting_free(m);
}

static napi_value mounting_start(napi_env env, mounting *m) {
  napi_value promise, name;
  if (napi_create_string_utf8(env, "ninefs:mount", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_promise(env, &m->deferred, &promise) != napi_ok ||
      napi_create_async_work(env, NULL, name, mounting_run, mounting_done, m, &m->work) != napi_ok ||
      napi_queue_async_work(env, m->work) != napi_ok) {
    fail(env, "cannot start");
    mounting_free(m);
    return NULL;
  }
  return promise;
}

/* mount(source, target, type, flags, data) -> promise of 0 or a negative errno */
static napi_value mount_start(napi_env env, napi_callback_info info) {
  napi_value args[5];
  if (!arguments(env, info, 5, args)) return NULL;
  mounting *m = calloc(1, sizeof *m);
  if (m == NULL) return number(env, -ENOMEM);
  if ((m->source = text_of(env, args[0])) == NULL || (m->target = text_of(env, args[1])) == NULL ||
      (m->type = text_of(env, args[2])) == NULL || napi_get_value_uint32(env, args[3], &m->flags) != napi_ok ||
      (m->data = text_of(env, args[4])) == NULL) {
    fail(env, "mount(source, target, type, flags, data)");
    mounting_free(m);
    return NULL;
  }
  return mounting_start(env, m);
}

/* umount2(target, flags) -> promise of 0 or a negative errno */
static napi_value umount_start(napi_env env, napi_callback_info info) {
  napi_value args[2];
  if (!arguments(env, info, 2, args)) return NULL;
  mounting *m = calloc(1, sizeof *m);
  if (m == NULL) return number(env, -ENOMEM);
  m->unmount = true;
  if ((m->target = text_of(env, args[0])) == NULL || napi_get_value_uint32(env, args[1], &m->flags) != napi_ok) {
    fail(env, "umount2(target, flags)");
    mounting_free(m);
    return NULL;
  }
  return mounting_start(env, m);
}

/* ---- fusermount3's descriptor ------------------------------------------------------------------------------------ */

/* socketpair() -> [ours, theirs], or a negative errno. Both are close-on-exec; a child gets one through spawn's stdio. */
static napi_value socket_pair(napi_env env, napi_callback_info info) {
  (void)info;
  int pair[2];
  napi_value result;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) return number(env, -errno);
  CHECK(env, napi_create_array_with_length(env, 2, &result));
  for (uint32_t i = 0; i < 2; i++) CHECK(env, napi_set_element(env, result, i, number(env, pair[i])));
  return result;
}

/* receiveFd(socket) -> the descriptor received, -EAGAIN when none has come yet, -ECONNRESET at the end of the stream,
 * -EBADMSG for a message without one, or another negative errno. Never blocks. */
static napi_value receive_fd(napi_env env, napi_callback_info info) {
  napi_value args[1];
  int32_t socket;
  if (!arguments(env, info, 1, args)) return NULL;
  CHECK(env, napi_get_value_int32(env, args[0], &socket));

  char byte;
  struct iovec piece = {&byte, 1};
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct msghdr message = {
      .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  ssize_t n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0) return number(env, -errno);
  if (n == 0) return number(env, -ECONNRESET);
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (header == NULL || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof(int)))
    return number(env, -EBADMSG);
  int fd;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return number(env, fd);
}

NAPI_MODULE_INIT() {
  napi_property_descriptor methods[] = {
      {"poll", NULL, poll_start, NULL, NULL, NULL, napi_enumerable, NULL},
      {"read", NULL, device_read, NULL, NULL, NULL, napi_enumerable, NULL},
      {"write", NULL, device_write, NULL, NULL, NULL, napi_enumerable, NULL},
      {"writev", NULL, device_writev, NULL, NULL, NULL, napi_enumerable, NULL},
      {"mount", NULL, mount_start, NULL, NULL, NULL, napi_enumerable, NULL},
      {"umount2", NULL, umount_start, NULL, NULL, NULL, napi_enumerable, NULL},
      {"socketpair", NULL, socket_pair, NULL, NULL, NULL, napi_enumerable, NULL},
      {"receiveFd", NULL, receive_fd, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  CHECK(env, napi_define_properties(env, exports, sizeof methods / sizeof *methods, methods));
  return define_process(env, exports);
}
