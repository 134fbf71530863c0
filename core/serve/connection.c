#include "serve/connection.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "base/hash.h"
#include "serve/folder.h"
#include "serve/page.h"

enum {
    READ_MS = 5000,     /* for the whole head of a request */
    SEND_MS = 10000,    /* for an answer, and more by its size: */
    SEND_BYTES_MS = 64, /* the slowest pace that is waited for */
    DRAIN_MS = 500,
    DRAIN_BYTES = 65536,
    INDEX_MS = 1000 /* an index is not made anew sooner */
};

/* The index page runs its own script alone; a report runs none, and neither could talk
 * to anything but this server. A sandbox keeps what came with a run from acting as the
 * page. */
static const char page_policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
static const char report_policy[] =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; sandbox allow-downloads";
static const char file_policy[] =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "sandbox";

static const char *status_text(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 304:
        return "Not Modified";
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 414:
        return "URI Too Long";
    case 431:
        return "Request Header Fields Too Large";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Internal Server Error";
    }
}

void il_connection_begin(il_connection *c, int socket, int64_t now)
{
    c->phase = IL_CONNECTION_READS;
    c->socket = socket;
    c->since = now;
    c->deadline = now + READ_MS;
    c->drained = 0;
    c->size = 0;
    c->sent = 0;
    c->headed = false;
    c->head = (il_text){0};
    c->body = (il_text){0};
    c->file = -1;
    c->left = 0;
}

void il_connection_end(il_connection *c)
{
    if (c->phase == IL_CONNECTION_FREE) {
        return;
    }
    (void)close(c->socket);
    if (c->file >= 0) {
        (void)close(c->file);
    }
    il_text_free(&c->head);
    il_text_free(&c->body);
    c->phase = IL_CONNECTION_FREE;
}

/* The head of an answer with `length` bytes to follow, were it not for a HEAD. */
static void head_write(il_connection *c, int status, const char *type, int64_t length,
                       const char *tag, const char *policy, int64_t now)
{
    il_text_addf(&c->head,
                 "HTTP/1.1 %d %s\r\n"
                 "Connection: close\r\n"
                 "Cache-Control: no-cache\r\n"
                 "X-Content-Type-Options: nosniff\r\n"
                 "Cross-Origin-Resource-Policy: same-origin\r\n"
                 "Referrer-Policy: no-referrer\r\n",
                 status, status_text(status));
    il_text_addf(&c->head, "Content-Security-Policy: %s\r\n", policy);
    if (status != 304) { /* which has no content to say anything of */
        il_text_addf(&c->head, "Content-Type: %s\r\nContent-Length: %" PRId64 "\r\n",
                     type, length);
    }
    if (tag != NULL) {
        il_text_addf(&c->head, "ETag: %s\r\n", tag);
    }
    if (status == 405) {
        il_text_add(&c->head, "Allow: GET, HEAD\r\n");
    }
    il_text_add(&c->head, "\r\n");
    c->phase = IL_CONNECTION_SENDS;
    c->since = now;
    c->deadline = now + SEND_MS + length / SEND_BYTES_MS;
    c->size = 0;
    c->sent = 0;
}

static void refuse(il_connection *c, int status, bool head, int64_t now)
{
    char text[64];
    int length = snprintf(text, sizeof text, "%d %s\n", status, status_text(status));

    if (!head) {
        il_text_add(&c->body, text);
    }
    head_write(c, status, "text/plain; charset=utf-8", length, NULL, file_policy, now);
}

/* Makes the index anew when it is old. False when it cannot be made. */
static bool index_refresh(il_served_state *from, int64_t now)
{
    il_text made = {0};
    struct timespec t;
    char hex[IL_HASH_HEX];

    if (from->index.data != NULL && now < from->stale) {
        return true;
    }
    if (il_served_index(from->runs, &made, NULL) != IL_OK) {
        il_text_free(&made);
        return false;
    }
    il_hash_bytes(made.data, made.size, hex);
    (void)snprintf(from->tag, sizeof from->tag, "\"%s\"", hex);
    il_text_free(&from->index);
    from->index = made;
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
    /* From when it was done, so that a large folder does not take all of the time. */
    from->stale = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 + INDEX_MS;
    return true;
}

/* Answers with a text, which is copied. */
static void answer_text(il_connection *c, const il_request *r, const char *type,
                        const char *text, size_t size, const char *tag, int64_t now)
{
    if (tag != NULL && strcmp(r->match, tag) == 0) {
        head_write(c, 304, type, 0, tag, page_policy, now);
        return;
    }
    if (!r->head) {
        il_text_add_bytes(&c->body, text, size);
    }
    head_write(c, 200, type, (int64_t)size, tag, page_policy, now);
}

static void answer(il_connection *c, il_served_state *from, const il_request *r,
                   int64_t now)
{
    static const char below[] = "/runs/";
    const il_page *page = il_page_find(r->path);
    il_served file;
    const char *policy;

    if (page != NULL) {
        answer_text(c, r, page->type, page->body, strlen(page->body), NULL, now);
        return;
    }
    if (strcmp(r->path, "/index.json") == 0) {
        if (!index_refresh(from, now)) {
            refuse(c, 500, r->head, now);
            return;
        }
        answer_text(c, r, "application/json", from->index.data, from->index.size,
                    from->tag, now);
        return;
    }
    if (strncmp(r->path, below, sizeof below - 1) != 0 ||
        !il_served_open(from->runs, r->path + sizeof below - 1, &file)) {
        refuse(c, 404, r->head, now);
        return;
    }
    policy = file.page ? report_policy : file_policy;
    if (strcmp(r->match, file.tag) == 0) {
        (void)close(file.fd);
        head_write(c, 304, file.type, 0, file.tag, policy, now);
        return;
    }
    head_write(c, 200, file.type, file.size, file.tag, policy, now);
    if (r->head) {
        (void)close(file.fd);
        return;
    }
    c->file = file.fd;
    c->left = file.size;
}

/* Sends what there is of `data`; false when the socket takes no more now, or never. */
static bool send_some(il_connection *c, const char *data, size_t size)
{
    while (c->sent < size) {
        ssize_t n = send(c->socket, data + c->sent, size - c->sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK) {
                il_connection_end(c);
            }
            return false;
        }
        c->sent += (size_t)n;
    }
    c->sent = 0;
    return true;
}

static void go_on_sending(il_connection *c, int64_t now)
{
    if (c->head.failed || c->body.failed) {
        il_connection_end(c); /* no memory even to say so */
        return;
    }
    if (!c->headed) {
        if (!send_some(c, c->head.data, c->head.size)) {
            return;
        }
        c->headed = true;
    }
    if (c->body.size > 0 && !send_some(c, c->body.data, c->body.size)) {
        return;
    }
    il_text_free(&c->body);
    /* One chunk a turn, so that others get theirs. */
    if (c->size == 0 && c->left > 0) {
        size_t want =
            c->left < (int64_t)sizeof c->chunk ? (size_t)c->left : sizeof c->chunk;
        ssize_t n = read(c->file, c->chunk, want);

        if (n < 0 && errno == EINTR) {
            return;
        }
        if (n <= 0) { /* it shrank: the length was promised, so all that is left is */
            il_connection_end(c); /* to break off */
            return;
        }
        c->size = (size_t)n;
        c->left -= n;
    }
    if (c->size > 0) {
        if (!send_some(c, c->chunk, c->size)) {
            return;
        }
        c->size = 0;
    }
    if (c->left == 0) {
        (void)shutdown(c->socket, SHUT_WR); /* fails when the client is gone already */
        c->phase = IL_CONNECTION_DRAINS;
        c->since = now;
        c->deadline = now + DRAIN_MS;
    }
}

static void go_on_reading(il_connection *c, il_served_state *from, int64_t now)
{
    il_request request;
    ssize_t n = recv(c->socket, c->in + c->size, sizeof c->in - c->size, 0);
    int status;

    if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) {
        return;
    }
    if (n <= 0) {
        il_connection_end(c);
        return;
    }
    c->size += (size_t)n;
    status = il_request_parse(c->in, c->size, &request);
    if (status == 200) {
        answer(c, from, &request, now);
    } else if (status != 0) {
        refuse(c, status, false, now);
    }
}

static void go_on_draining(il_connection *c)
{
    ssize_t n = recv(c->socket, c->chunk, sizeof c->chunk, 0);

    if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) {
        return;
    }
    c->drained += n > 0 ? (size_t)n : 0;
    if (n <= 0 || c->drained > DRAIN_BYTES) {
        il_connection_end(c);
    }
}

void il_connection_go_on(il_connection *c, il_served_state *from, int64_t now)
{
    if (c->phase == IL_CONNECTION_READS) {
        go_on_reading(c, from, now);
    } else if (c->phase == IL_CONNECTION_DRAINS) {
        go_on_draining(c);
    }
    if (c->phase == IL_CONNECTION_SENDS) {
        go_on_sending(c, now);
    }
}
