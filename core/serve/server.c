#include "serve/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "serve/connection.h"

enum {
    QUEUE = 128,
    CROWDED_MS = 1000, /* for the head of a request, when others wait for a place */
    REST_MS = 100      /* before the next try, when accept fails */
};

struct il_server {
    int listener;
    uint16_t port;
    int64_t rest; /* nothing is accepted before, in milliseconds */
    il_served_state served;
    il_connection connections[IL_SERVER_CONNECTIONS];
};

static int64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool prepare(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static il_status listen_at(il_server *s, uint16_t port, il_error *err)
{
    struct sockaddr_in at = {0};
    socklen_t size = sizeof at;
    int on = 1;

    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (s->listener < 0 || !prepare(s->listener) ||
        /* else a port that was just given up cannot be had for a minute */
        setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(s->listener, (const struct sockaddr *)&at, sizeof at) != 0 ||
        listen(s->listener, QUEUE) != 0 ||
        getsockname(s->listener, (struct sockaddr *)&at, &size) != 0) {
        return il_error_set(err, IL_ERR_IO, "127.0.0.1", "cannot listen at port %u: %s",
                            (unsigned)port, strerror(errno));
    }
    s->port = ntohs(at.sin_port);
    return IL_OK;
}

il_status il_server_open(il_server **out, const char *runs, uint16_t port,
                         il_error *err)
{
    il_server *s = calloc(1, sizeof *s);
    il_status status = IL_OK;

    if (s == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, runs, "out of memory");
    }
    s->listener = -1;
    s->served.runs = open(runs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->served.runs < 0) {
        status = il_error_set(err, IL_ERR_INPUT, runs,
                              "expected the folder of the runs: %s", strerror(errno));
    }
    if (status == IL_OK) {
        status = listen_at(s, port, err);
    }
    if (status != IL_OK) {
        il_server_close(s);
        return status;
    }
    *out = s;
    return IL_OK;
}

void il_server_close(il_server *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < IL_SERVER_CONNECTIONS; i++) {
        il_connection_end(&s->connections[i]);
    }
    if (s->listener >= 0) {
        (void)close(s->listener);
    }
    if (s->served.runs >= 0) {
        (void)close(s->served.runs);
    }
    il_text_free(&s->served.index);
    free(s);
}

uint16_t il_server_port(const il_server *s)
{
    return s->port;
}

static il_connection *place_find(il_server *s)
{
    for (size_t i = 0; i < IL_SERVER_CONNECTIONS; i++) {
        if (s->connections[i].phase == IL_CONNECTION_FREE) {
            return &s->connections[i];
        }
    }
    return NULL;
}

/* Takes as many new clients as there are places. */
static void take_clients(il_server *s, int64_t now)
{
    il_connection *c;

    while ((c = place_find(s)) != NULL) {
        int fd = accept(s->listener, NULL, NULL);

        if (fd < 0) {
            /* ECONNABORTED is the client's doing; without descriptors or memory a try
             * at once would only spin. */
            if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR &&
                errno != ECONNABORTED) {
                s->rest = now + REST_MS;
            }
            return;
        }
        if (!prepare(fd)) {
            (void)close(fd);
            continue;
        }
        il_connection_begin(c, fd, now);
    }
}

/* When a connection has to be over; sooner for one that has not said what it wants,
 * while others may be waiting for its place. */
static int64_t deadline(const il_connection *c, bool crowded)
{
    int64_t soon = c->since + CROWDED_MS;

    return crowded && c->phase == IL_CONNECTION_READS && soon < c->deadline
               ? soon
               : c->deadline;
}

/* Fills `fds` for connections; returns for how long to wait. */
static int prepare_poll(il_server *s, struct pollfd fds[IL_SERVER_CONNECTIONS + 2],
                        int64_t now)
{
    bool crowded = place_find(s) == NULL;
    int64_t until = INT64_MAX;

    for (size_t i = 0; i < IL_SERVER_CONNECTIONS; i++) {
        il_connection *c = &s->connections[i];
        int64_t end = deadline(c, crowded);

        if (c->phase != IL_CONNECTION_FREE && end <= now) {
            il_connection_end(c);
        }
        fds[i].fd = c->phase != IL_CONNECTION_FREE ? c->socket : -1;
        fds[i].events = c->phase == IL_CONNECTION_SENDS ? POLLOUT : POLLIN;
        if (c->phase != IL_CONNECTION_FREE && end < until) {
            until = end;
        }
    }
    fds[IL_SERVER_CONNECTIONS].fd = -1;
    fds[IL_SERVER_CONNECTIONS].events = POLLIN;
    if (now < s->rest) {
        until = s->rest < until ? s->rest : until;
    } else if (place_find(s) != NULL) {
        fds[IL_SERVER_CONNECTIONS].fd = s->listener;
    }
    return until == INT64_MAX ? -1 : (int)(until - now);
}

il_status il_server_run(il_server *s, int stop, il_error *err)
{
    struct pollfd fds[IL_SERVER_CONNECTIONS + 2] = {0};

    for (;;) {
        int64_t now = now_ms();
        int wait = prepare_poll(s, fds, now);

        fds[IL_SERVER_CONNECTIONS + 1].fd = stop;
        fds[IL_SERVER_CONNECTIONS + 1].events = POLLIN;
        if (poll(fds, IL_SERVER_CONNECTIONS + 2, wait) < 0) {
            if (errno == EINTR) {
                continue;
            }
            return il_error_set(err, IL_ERR_IO, "127.0.0.1", "cannot wait: %s",
                                strerror(errno));
        }
        if (fds[IL_SERVER_CONNECTIONS + 1].revents != 0) {
            return IL_OK;
        }
        now = now_ms();
        for (size_t i = 0; i < IL_SERVER_CONNECTIONS; i++) {
            if (fds[i].fd >= 0 && fds[i].revents != 0) {
                il_connection_go_on(&s->connections[i], &s->served, now);
            }
        }
        if (fds[IL_SERVER_CONNECTIONS].fd >= 0 &&
            fds[IL_SERVER_CONNECTIONS].revents != 0) {
            take_clients(s, now);
        }
    }
}
