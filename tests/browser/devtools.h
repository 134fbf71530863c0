/* A browser driven by the DevTools protocol over a pair of pipes: no port, no socket,
 * no library but jansson. Everything waits for its answer, up to a limit. */
#ifndef TESTS_BROWSER_DEVTOOLS_H
#define TESTS_BROWSER_DEVTOOLS_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct devtools {
    pid_t browser;
    int in, out;
    char session[128]; /* of the page; "" for the browser itself */
    int last;          /* the number of the last message */
    char *held;        /* bytes that were read beyond the last message */
    size_t held_size;
    json_t *events; /* array of what came unasked, in order */
} devtools;

/* Starts the program with a profile in `folder`, and opens an empty page. */
bool devtools_open(devtools *d, const char *program, const char *folder);
/* Ends the browser and waits for it. */
void devtools_close(devtools *d);

/* Sends a message and waits for its answer; takes `params`, which may be NULL. The
 * caller decrefs the result; NULL when it was refused, and why is on stderr. */
json_t *devtools_call(devtools *d, const char *method, json_t *params);
/* Waits until an event of that name has come. */
bool devtools_wait(devtools *d, const char *event);
/* The value of a script in the page; NULL when it throws. The caller decrefs it. */
json_t *devtools_ask(devtools *d, const char *script);

#endif
