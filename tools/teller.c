#include "teller.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "plain.h"

enum { PIPE_SECONDS = 30, WIDTH = 100, LINE = 512 };

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void il_teller_open(il_teller *t, bool quiet, bool json)
{
    *t = (il_teller){
        .quiet = quiet, .json = json, .terminal = isatty(2) != 0, .last = seconds()};
}

/* ---- JSON ------------------------------------------------------------------------ */

/* One write a line: those of several processes do not mingle. */
static void put_json(json_t *json)
{
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    size_t size = text != NULL ? strlen(text) : 0;
    char *line = text != NULL ? realloc(text, size + 2) : NULL;

    if (line != NULL) {
        line[size] = '\n';
        /* Nobody there to read it is no reason to stop. */
        (void)!write(1, line, size + 1);
        free(line);
    } else {
        free(text);
    }
    json_decref(json);
}

static json_t *metrics_json(const il_metric *metrics, size_t count)
{
    json_t *json = json_object();

    for (size_t i = 0; i < count; i++) {
        if (isfinite(metrics[i].value)) {
            (void)json_object_set_new(json, metrics[i].name,
                                      json_real(metrics[i].value));
        }
    }
    return json;
}

void il_teller_end(const il_teller *t, int code, const char *folder)
{
    json_t *json =
        t->json ? json_pack("{s:s, s:i}", "event", "end", "code", code) : NULL;

    if (json != NULL && folder != NULL) {
        (void)json_object_set_new(json, "folder", json_string(folder));
    }
    if (json != NULL) {
        put_json(json);
    }
}

/* ---- the log ----------------------------------------------------------------------
 */

static void sink(void *user, il_log_level level, const char *component,
                 const char *line)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    const il_teller *t = user;

    if (level == IL_LOG_DEBUG || (t->quiet && level < IL_LOG_WARN)) {
        return;
    }
    if (t->json) {
        put_json(json_pack("{s:s, s:s, s:s, s:s}", "event", "log", "level",
                           names[level], "component", component, "line", line));
        return;
    }
    fprintf(stderr, "%s%s%s%s: ", t->terminal ? "\r\033[K" : "",
            level > IL_LOG_INFO ? names[level] : "", level > IL_LOG_INFO ? ": " : "",
            component);
    il_put_plain(stderr, line);
    (void)putc('\n', stderr);
}

il_log *il_teller_log(il_teller *t)
{
    il_log *log = il_log_create();

    if (log != NULL) {
        (void)il_log_add(log, IL_LOG_DEBUG, sink, t); /* has room */
    }
    return log;
}

/* ---- progress ---------------------------------------------------------------------
 */

/* "3 s", "12 min", "2.5 h" */
static void put_time(il_text *line, double left)
{
    if (left < 100) {
        il_text_addf(line, "%.0f s", left);
    } else if (left < 6000) {
        il_text_addf(line, "%.0f min", left / 60);
    } else {
        il_text_addf(line, "%.1f h", left / 3600);
    }
}

static void write_line(il_text *line, const il_progress *p)
{
    il_text_addf(line, "%s: step %lld/%lld  %.1f/s  ", p->label, (long long)p->step,
                 (long long)p->steps, p->rate);
    put_time(line, p->left);
    il_text_add(line, " left");
    for (size_t i = 0; i < p->loss_count; i++) {
        if (isfinite(p->losses[i].value)) {
            il_text_addf(line, "  %s %.4f", p->losses[i].name, p->losses[i].value);
        }
    }
    for (size_t i = 0; i < p->health_count; i++) {
        if (isfinite(p->health[i].value)) {
            il_text_addf(line, "  %s %.3f", p->health[i].name, p->health[i].value);
        }
    }
}

static int width_of(void)
{
    struct winsize size;

    return ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : WIDTH;
}

void il_teller_progress(void *user, const il_progress *p)
{
    il_teller *t = user;
    il_text line = {0};
    bool last = p->step >= p->steps;

    if (t->json) {
        json_t *json =
            json_pack("{s:s, s:s, s:I, s:I}", "event", "progress", "label", p->label,
                      "step", (json_int_t)p->step, "steps", (json_int_t)p->steps);
        const il_metric pace[] = {{"rate", p->rate}, {"left", p->left}};
        json_t *more = metrics_json(pace, 2);

        (void)json_object_update(json, more);
        json_decref(more);
        (void)json_object_set_new(json, "losses",
                                  metrics_json(p->losses, p->loss_count));
        (void)json_object_set_new(json, "health",
                                  metrics_json(p->health, p->health_count));
        put_json(json);
        return;
    }
    if (t->quiet || (!t->terminal && (last || seconds() - t->last < PIPE_SECONDS))) {
        return; /* that a stage is done is in the log */
    }
    t->last = seconds();
    write_line(&line, p);
    if (line.data != NULL && t->terminal) {
        fprintf(stderr, "\r\033[K%.*s", width_of() - 1, line.data);
    } else if (line.data != NULL) {
        fprintf(stderr, "%s\n", line.data);
    }
    il_text_free(&line);
}
