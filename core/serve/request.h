/* Requests: what a client asks for, told from the bytes it sent. Strict, since whoever
 * can reach the port can send anything: what is unusual is refused, not repaired. */
#ifndef IL_SERVE_REQUEST_H
#define IL_SERVE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

enum {
    IL_REQUEST_MAX = 8192, /* bytes of the request line and all headers */
    IL_REQUEST_PATH_MAX = 1024,
    IL_REQUEST_MATCH_MAX = 128
};

typedef struct il_request {
    bool head; /* HEAD; else GET */
    /* Decoded once, beginning with '/', without its query; no control characters, no
     * backslash, and no slash that was encoded. */
    char path[IL_REQUEST_PATH_MAX];
    char match[IL_REQUEST_MATCH_MAX]; /* If-None-Match, or "" */
} il_request;

/* Reads the head of a request. 0 while its end has not come; 200 when it is one to
 * answer, and `*out` is set; else the HTTP status that refuses it: 400 for what is no
 * request, 403 for a Host that is not this machine's own name (a page elsewhere whose
 * name was pointed here), 405, 414, 431, 505. Never reads past `size`. */
int il_request_parse(const char *data, size_t size, il_request *out);

#endif
