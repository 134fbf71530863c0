/* The log: lines with a level, a component and, in a loop, a step. The core never
 * prints; it hands lines to the sink that a tool set up (terminal, pipe, log.txt). Safe
 * from any thread. */
#ifndef IL_BASE_LOG_H
#define IL_BASE_LOG_H

typedef enum il_log_level {
    IL_LOG_DEBUG,
    IL_LOG_INFO,
    IL_LOG_WARN,
    IL_LOG_ERROR
} il_log_level;

typedef struct il_log il_log;
typedef void il_log_sink(void *user, il_log_level level, const char *component,
                         const char *line);

il_log *il_log_create(void);
void il_log_destroy(il_log *log);
/* Adds a sink for lines at or above `least`. At most 4. Returns 0, or -1 when there is
 * no room. */
int il_log_add(il_log *log, il_log_level least, il_log_sink *sink, void *user);
/* Takes a sink away again, before its user goes; one that is not there is no error. */
void il_log_remove(il_log *log, il_log_sink *sink, void *user);
/* `log` may be NULL: the line goes nowhere. */
void il_log_write(il_log *log, il_log_level level, const char *component,
                  const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
