#include "devtools.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT_MS = 60000, CHUNK = 65536 };

/* The child's end of the two pipes is 3 to read from and 4 to write to. */
static void become(const char *program, const char *folder, int from, int to)
{
    char profile[512];
    int spare_from = fcntl(from, F_DUPFD, 10);
    int spare_to = fcntl(to, F_DUPFD, 10);
    int quiet = open("/dev/null", O_RDWR);

    (void)snprintf(profile, sizeof profile, "--user-data-dir=%s", folder);
    (void)dup2(spare_from, 3);
    (void)dup2(spare_to, 4);
    (void)dup2(quiet, 0);
    (void)dup2(quiet, 1);
    (void)dup2(quiet, 2);
    /* Root has no sandbox of the browser's; the pages are our own. */
    execlp(program, program, "--headless=new", "--remote-debugging-pipe",
           "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
           "--disable-background-networking", "--hide-scrollbars",
           geteuid() == 0 ? "--no-sandbox" : "--mute-audio", profile, (char *)NULL);
    _exit(127);
}

bool devtools_open(devtools *d, const char *program, const char *folder)
{
    int there[2];
    int back[2];
    json_t *made;
    json_t *page;

    *d = (devtools){.in = -1, .out = -1, .events = json_array()};
    (void)signal(SIGPIPE, SIG_IGN);
    if (pipe(there) != 0 || pipe(back) != 0) {
        return false;
    }
    d->browser = fork();
    if (d->browser == 0) {
        become(program, folder, there[0], back[1]);
    }
    (void)close(there[0]);
    (void)close(back[1]);
    d->out = there[1];
    d->in = back[0];
    made = devtools_call(d, "Target.createTarget",
                         json_pack("{s:s}", "url", "about:blank"));
    page = devtools_call(d, "Target.attachToTarget",
                         json_pack("{s:O, s:b}", "targetId",
                                   json_object_get(made, "targetId"), "flatten", 1));
    (void)snprintf(d->session, sizeof d->session, "%s",
                   json_is_string(json_object_get(page, "sessionId"))
                       ? json_string_value(json_object_get(page, "sessionId"))
                       : "");
    json_decref(made);
    json_decref(page);
    return d->session[0] != '\0';
}

void devtools_close(devtools *d)
{
    if (d->browser > 0) {
        (void)kill(d->browser, SIGTERM);
        (void)waitpid(d->browser, NULL, 0);
    }
    (void)close(d->in);
    (void)close(d->out);
    free(d->held);
    json_decref(d->events);
}

/* The next message; NULL when none comes in time. Messages end with a NUL. */
static json_t *receive(devtools *d)
{
    for (;;) {
        char *end = d->held_size > 0 ? memchr(d->held, '\0', d->held_size) : NULL;
        struct pollfd ready = {.fd = d->in, .events = POLLIN};
        char *grown;
        ssize_t n;

        if (end != NULL) {
            json_t *message = json_loads(d->held, 0, NULL);

            d->held_size -= (size_t)(end + 1 - d->held);
            memmove(d->held, end + 1, d->held_size);
            return message;
        }
        if (poll(&ready, 1, LIMIT_MS) <= 0) {
            return NULL;
        }
        grown = realloc(d->held, d->held_size + CHUNK);
        if (grown == NULL) {
            return NULL;
        }
        d->held = grown;
        n = read(d->in, d->held + d->held_size, CHUNK);
        if (n <= 0) {
            return NULL;
        }
        d->held_size += (size_t)n;
    }
}

static bool send_all(int out, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(out, text, size);

        if (n < 0 && errno != EINTR) {
            return false;
        }
        text += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

json_t *devtools_call(devtools *d, const char *method, json_t *params)
{
    json_t *message = json_pack("{s:i, s:s, s:o}", "id", ++d->last, "method", method,
                                "params", params != NULL ? params : json_object());
    json_t *result = NULL;
    char *text;
    bool sent;

    if (d->session[0] != '\0') {
        (void)json_object_set_new(message, "sessionId", json_string(d->session));
    }
    text = json_dumps(message, JSON_COMPACT);
    sent = text != NULL && send_all(d->out, text, strlen(text) + 1);
    free(text);
    json_decref(message);
    while (sent) {
        json_t *got = receive(d);

        if (got == NULL) {
            fprintf(stderr, "%s: no answer\n", method);
            break;
        }
        if (json_object_get(got, "id") == NULL) {
            (void)json_array_append_new(d->events, got);
            continue;
        }
        if (json_integer_value(json_object_get(got, "id")) == d->last) {
            char *error = json_dumps(json_object_get(got, "error"), JSON_COMPACT);

            result = json_incref(json_object_get(got, "result"));
            if (result == NULL) {
                fprintf(stderr, "%s: %s\n", method, error != NULL ? error : "refused");
            }
            free(error);
            json_decref(got);
            break;
        }
        json_decref(got);
    }
    return result;
}

bool devtools_wait(devtools *d, const char *event)
{
    for (size_t i = 0;; i++) {
        const json_t *got;

        if (i == json_array_size(d->events)) {
            json_t *next = receive(d);

            if (next == NULL) {
                return false;
            }
            (void)json_array_append_new(d->events, next);
        }
        got = json_object_get(json_array_get(d->events, i), "method");
        if (json_is_string(got) && strcmp(json_string_value(got), event) == 0) {
            return true;
        }
    }
}

json_t *devtools_ask(devtools *d, const char *script)
{
    json_t *result = devtools_call(d, "Runtime.evaluate",
                                   json_pack("{s:s, s:b, s:b}", "expression", script,
                                             "returnByValue", 1, "awaitPromise", 1));
    json_t *value = json_object_get(json_object_get(result, "result"), "value");
    json_t *thrown = json_object_get(result, "exceptionDetails");

    if (thrown != NULL) {
        char *text = json_dumps(thrown, JSON_COMPACT);

        fprintf(stderr, "threw: %s\n", text != NULL ? text : "");
        free(text);
        value = NULL;
    }
    json_incref(value);
    json_decref(result);
    return value;
}
