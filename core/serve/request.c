#include "serve/request.h"

#include <string.h>
#include <strings.h>

/* A piece of the request; not terminated. */
typedef struct piece {
    const char *data;
    size_t size;
} piece;

static bool is(piece p, const char *text)
{
    return p.size == strlen(text) && memcmp(p.data, text, p.size) == 0;
}

static bool is_name(piece p, const char *name)
{
    return p.size == strlen(name) && strncasecmp(p.data, name, p.size) == 0;
}

/* Whether it is a token of RFC 9110, section 5.6.2. */
static bool is_token(piece p)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < p.size; i++) {
        char c = p.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c >= '0' && c <= '9') || (c != '\0' && strchr(marks, c) != NULL))) {
            return false;
        }
    }
    return p.size > 0;
}

static bool is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

static piece trimmed(piece p)
{
    while (p.size > 0 && (*p.data == ' ' || *p.data == '\t')) {
        p.data++;
        p.size--;
    }
    while (p.size > 0 && (p.data[p.size - 1] == ' ' || p.data[p.size - 1] == '\t')) {
        p.size--;
    }
    return p;
}

/* What stands before `end`, which is taken off `rest`; false when it is not there. */
static bool take(piece *rest, const char *end, piece *out)
{
    size_t size = strlen(end);

    for (size_t i = 0; i + size <= rest->size; i++) {
        if (memcmp(rest->data + i, end, size) == 0) {
            *out = (piece){rest->data, i};
            rest->data += i + size;
            rest->size -= i + size;
            return true;
        }
    }
    return false;
}

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Decodes the target's path into `out`; 200 or the status that refuses it. */
static int path_decode(piece target, char out[IL_REQUEST_PATH_MAX])
{
    size_t n = 0;

    if (target.size == 0 || *target.data != '/') {
        return 400;
    }
    for (size_t i = 0; i < target.size && target.data[i] != '?'; i++) {
        int c = (unsigned char)target.data[i];

        if (c == '%') {
            int high = i + 1 < target.size ? digit(target.data[i + 1]) : -1;
            int low = i + 2 < target.size ? digit(target.data[i + 2]) : -1;

            if (high < 0 || low < 0) {
                return 400;
            }
            c = high << 4 | low;
            i += 2;
            if (c == '/') {
                return 400;
            }
        }
        if (is_control((unsigned char)c) || c == '\\' || c == '#') {
            return 400;
        }
        if (n + 1 == IL_REQUEST_PATH_MAX) {
            return 414;
        }
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return 200;
}

/* Whether a Host is a name that only this machine has. The port may be any, since
 * somebody may look through a tunnel. */
static bool host_is_loopback(piece host)
{
    static const char *const names[] = {"127.0.0.1", "localhost", "[::1]"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t size = strlen(names[i]);
        size_t k = size + 1;

        if (host.size < size || strncasecmp(host.data, names[i], size) != 0) {
            continue;
        }
        if (host.size == size) {
            return true;
        }
        while (k < host.size && host.data[k] >= '0' && host.data[k] <= '9') {
            k++;
        }
        return host.data[size] == ':' && k == host.size && k > size + 1 &&
               k <= size + 6;
    }
    return false;
}

/* The request line. */
static int line_parse(piece line, il_request *out)
{
    piece method;
    piece target;

    if (!take(&line, " ", &method) || !take(&line, " ", &target) || !is_token(method)) {
        return 400;
    }
    if (line.size != 8 || memcmp(line.data, "HTTP/", 5) != 0) {
        return 400;
    }
    if (!is(line, "HTTP/1.1") && !is(line, "HTTP/1.0")) {
        return 505;
    }
    if (!is(method, "GET") && !is(method, "HEAD")) {
        return 405;
    }
    out->head = is(method, "HEAD");
    return path_decode(target, out->path);
}

/* One header. Those that decide anything may come once: two of them are how one reader
 * is made to see another request than the next does. */
static int header_parse(piece line, bool *host_seen, bool *match_seen, il_request *out)
{
    piece name;

    /* A space before the colon or in front of a line leaves no token. */
    if (!take(&line, ":", &name) || !is_token(name)) {
        return 400;
    }
    line = trimmed(line);
    for (size_t i = 0; i < line.size; i++) {
        if (is_control((unsigned char)line.data[i]) && line.data[i] != '\t') {
            return 400;
        }
    }
    if (is_name(name, "host")) {
        if (*host_seen) {
            return 400;
        }
        *host_seen = true;
        return host_is_loopback(line) ? 200 : 403;
    }
    if (is_name(name, "if-none-match")) {
        if (*match_seen) {
            return 400;
        }
        *match_seen = true;
        if (line.size < IL_REQUEST_MATCH_MAX) { /* a longer one is none of ours */
            memcpy(out->match, line.data, line.size);
            out->match[line.size] = '\0';
        }
        return 200;
    }
    /* Nothing here takes a body. */
    if (is_name(name, "transfer-encoding") ||
        (is_name(name, "content-length") && !is(line, "0"))) {
        return 400;
    }
    return 200;
}

int il_request_parse(const char *data, size_t size, il_request *out)
{
    il_request r = {0};
    piece rest = {data, size < IL_REQUEST_MAX ? size : IL_REQUEST_MAX};
    piece head;
    piece line;
    bool host_seen = false;
    bool match_seen = false;
    int status;

    if (!take(&rest, "\r\n\r\n", &head)) {
        return size >= IL_REQUEST_MAX ? 431 : 0;
    }
    rest = (piece){head.data, head.size + 2}; /* each line with its end */
    if (!take(&rest, "\r\n", &line)) {
        return 400;
    }
    status = line_parse(line, &r);
    while (status == 200 && take(&rest, "\r\n", &line)) {
        status = header_parse(line, &host_seen, &match_seen, &r);
    }
    if (status == 200 && !host_seen) {
        status = 400;
    }
    if (status == 200) {
        *out = r;
    }
    return status;
}
