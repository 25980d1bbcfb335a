/*
 * What the addon's files share: arguments from JavaScript, numbers to it, and how our own mistakes become exceptions.
 */
#ifndef NINEFS_ADDON_H
#define NINEFS_ADDON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <node_api.h>

#define CHECK(env, call)                                                                                               \
  do {                                                                                                                 \
    if ((call) != napi_ok) {                                                                                           \
      fail(env, #call);                                                                                                \
      return NULL;                                                                                                     \
    }                                                                                                                  \
  } while (0)

/* Wrong arguments are our own mistake: a TypeError, unless an exception is on its way already. */
static inline void fail(napi_env env, const char *what) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", what);
}

static inline napi_value number(napi_env env, int64_t value) {
  napi_value result;
  CHECK(env, napi_create_int64(env, value, &result));
  return result;
}

static inline bool arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values) {
  size_t given = count;
  if (napi_get_cb_info(env, info, &given, values, NULL, NULL) != napi_ok || given < count) {
    fail(env, "too few arguments");
    return false;
  }
  return true;
}

/* A string of its own, to be freed by the caller; NULL with an exception. */
static inline char *text_of(napi_env env, napi_value value) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) {
    fail(env, "not a string");
    return NULL;
  }
  char *text = malloc(length + 1);
  if (text == NULL || napi_get_value_string_utf8(env, value, text, length + 1, &length) != napi_ok) {
    fail(env, "not a string");
    free(text);
    return NULL;
  }
  if (strlen(text) != length) {
    fail(env, "a string with NUL");
    free(text);
    return NULL;
  }
  return text;
}

/* What process.c adds to the exports. */
napi_value define_process(napi_env env, napi_value exports);

#endif
