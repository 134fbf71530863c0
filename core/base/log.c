#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SINKS = 4, LINE = 1024 };

typedef struct outlet {
    il_log_level least;
    il_log_sink *sink;
    void *user;
} outlet;

struct il_log {
    pthread_mutex_t
        lock; /* held while the sinks are called, so that lines stay whole */
    outlet outlets[SINKS];
    int count;
};

il_log *il_log_create(void)
{
    il_log *log = calloc(1, sizeof *log);

    if (log != NULL && pthread_mutex_init(&log->lock, NULL) != 0) {
        free(log);
        log = NULL;
    }
    return log;
}

void il_log_destroy(il_log *log)
{
    if (log != NULL) {
        (void)pthread_mutex_destroy(&log->lock);
        free(log);
    }
}

int il_log_add(il_log *log, il_log_level least, il_log_sink *sink, void *user)
{
    int result = -1;

    (void)pthread_mutex_lock(&log->lock);
    if (log->count < SINKS) {
        log->outlets[log->count++] = (outlet){least, sink, user};
        result = 0;
    }
    (void)pthread_mutex_unlock(&log->lock);
    return result;
}

void il_log_remove(il_log *log, il_log_sink *sink, void *user)
{
    (void)pthread_mutex_lock(&log->lock);
    for (int i = 0; i < log->count; i++) {
        if (log->outlets[i].sink == sink && log->outlets[i].user == user) {
            log->outlets[i] = log->outlets[--log->count];
            break;
        }
    }
    (void)pthread_mutex_unlock(&log->lock);
}

void il_log_write(il_log *log, il_log_level level, const char *component,
                  const char *fmt, ...)
{
    char fixed[LINE];
    char *line = fixed;
    va_list args;
    int size;

    if (log == NULL) {
        return;
    }
    va_start(args, fmt);
    size = vsnprintf(fixed, sizeof fixed, fmt, args);
    va_end(args);
    if (size < 0) {
        return;
    }
    /* A line that is longer takes a detour; when memory is out it is cut, not lost. */
    if ((size_t)size >= sizeof fixed) {
        line = malloc((size_t)size + 1);
        if (line != NULL) {
            va_start(args, fmt);
            (void)vsnprintf(line, (size_t)size + 1, fmt, args);
            va_end(args);
        } else {
            line = fixed;
        }
    }
    (void)pthread_mutex_lock(&log->lock);
    for (int i = 0; i < log->count; i++) {
        if (level >= log->outlets[i].least) {
            log->outlets[i].sink(log->outlets[i].user, level, component, line);
        }
    }
    (void)pthread_mutex_unlock(&log->lock);
    if (line != fixed) {
        free(line);
    }
}
