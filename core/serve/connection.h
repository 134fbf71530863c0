/* One connection: reads one request, sends one answer, and is over. */
#ifndef IL_SERVE_CONNECTION_H
#define IL_SERVE_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>
#include "base/text.h"
#include "serve/request.h"

typedef enum il_connection_phase {
    IL_CONNECTION_FREE = 0,
    IL_CONNECTION_READS,
    IL_CONNECTION_SENDS,
    /* Sent, and taking what still comes for a moment: closing a socket with bytes
     * unread would throw away the answer on its way. */
    IL_CONNECTION_DRAINS
} il_connection_phase;

typedef struct il_connection {
    il_connection_phase phase;
    int socket;
    int64_t since;    /* when the phase began, in milliseconds */
    int64_t deadline; /* when it must be over */
    size_t drained;
    size_t size;  /* bytes of `in`, or of `chunk` */
    size_t sent;  /* of `head` and then of `body` or `chunk` */
    bool headed;  /* the head is sent */
    il_text head; /* of the answer */
    il_text body; /* the answer, unless it is a file */
    int file;     /* -1 for none */
    int64_t left; /* bytes of the file to read */
    union {
        char in[IL_REQUEST_MAX];
        char chunk[32768]; /* of the file */
    };
} il_connection;

/* What answers come from: the folder, and the index as it was made last. */
typedef struct il_served_state {
    int runs;
    il_text index;
    char tag[80];  /* of the index, with its quotes */
    int64_t stale; /* when it must be made anew, in milliseconds */
} il_served_state;

void il_connection_begin(il_connection *c, int socket, int64_t now);
/* Goes on as far as the socket lets it; ends up FREE when there is nothing to wait for.
 */
void il_connection_go_on(il_connection *c, il_served_state *from, int64_t now);
void il_connection_end(il_connection *c);

#endif
