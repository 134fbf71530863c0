/* Status codes and error records, shared by the host and its plugins.
 *
 * A function that can fail returns an il_status and takes, last, a caller-owned
 * il_error that it fills on failure alone. The first message stays: it is the most
 * specific one; whoever passes it up may add where it happened, never what. This header
 * leaves printing to tools. */
#ifndef INTERLOOP_STATUS_H
#define INTERLOOP_STATUS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define IL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define IL_UNUSED            __attribute__((unused))
#define IL_NODISCARD         __attribute__((warn_unused_result))
#else
#define IL_PRINTF(fmt, args)
#define IL_UNUSED
#define IL_NODISCARD
#endif

/* What kind of thing went wrong. Values are ABI: append only. */
typedef enum il_status {
    IL_OK = 0,
    IL_ERR_INPUT =
        1, /* a file, pipeline, plugin or argument is wrong        (exit 2) */
    IL_ERR_MEMORY =
        2,         /* an allocation failed                                 (exit 1) */
    IL_ERR_IO = 3, /* reading or writing failed                            (exit 1) */
    IL_ERR_NUMERIC =
        4, /* a NaN or infinity where none may be                  (exit 1) */
    IL_ERR_SHAPE =
        5, /* tensors that do not fit each other                   (exit 2) */
    IL_ERR_UNSUPPORTED =
        6, /* understood, but not offered by this host or plugin   (exit 2) */
    IL_ERR_FIREWALL =
        7, /* a channel is open that must be closed                (exit 2) */
    IL_ERR_REQUIRE =
        8, /* a `require` of the pipeline was not met              (exit 1) */
    IL_ERR_INTERRUPTED =
        9, /* stopped from outside; the state on disk is whole     (exit 1) */
    IL_ERR_INTERNAL =
        10 /* a promise of our own was broken: a bug               (exit 1) */
} il_status;

#define IL_ERROR_WHERE_MAX   256
#define IL_ERROR_MESSAGE_MAX 1024

/* An error, owned by the caller, of fixed size so that reporting never allocates. */
typedef struct il_error {
    il_status code;
    char where[IL_ERROR_WHERE_MAX]; /* "file:line:column", an instance, an op; may be ""
                                     */
    char message[IL_ERROR_MESSAGE_MAX]; /* lower case, no full stop: expected, got, the
                                           fix  */
} il_error;

/* Fills `err` unless it already holds an error, or is NULL. Returns `code`, so that a
 * failing function can end in `return il_error_set(err, IL_ERR_INPUT, path, "...",
 * ...);`. [any] */
IL_UNUSED IL_PRINTF(4, 5) static inline il_status
    il_error_set(il_error *err, il_status code, const char *where, const char *fmt, ...)
{
    va_list args;

    if (err == NULL || err->code != IL_OK) {
        return code;
    }
    err->code = code;
    (void)snprintf(err->where, sizeof err->where, "%s", where != NULL ? where : "");
    va_start(args, fmt);
    (void)vsnprintf(err->message, sizeof err->message, fmt, args);
    va_end(args);
    return code;
}

/* Returns from the calling function when `expr` fails. */
#define IL_TRY(expr)                                                                   \
    do {                                                                               \
        il_status il_try_status_ = (expr);                                             \
        if (il_try_status_ != IL_OK) {                                                 \
            return il_try_status_;                                                     \
        }                                                                              \
    } while (0)

#ifdef __cplusplus
}
#endif

#endif
