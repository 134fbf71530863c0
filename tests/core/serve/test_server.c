/* A live server under requests that mean it no good. It runs in a thread of the test,
 * so that a sanitizer sees all that it does and leaves. */
#include "serve/server.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include "base/files.h"
#include "base/text.h"

enum { LARGE = 3 << 20 };

static char folder[64];
static il_server *server;
static pthread_t thread;
static int stop[2];
static il_status ended;

static void *run(void *unused)
{
    (void)unused;
    ended = il_server_run(server, stop[0], NULL);
    return NULL;
}

static void put(const char *path, const char *data, size_t size)
{
    char *whole = il_path_join(folder, path);
    char *above = il_path_folder(whole);

    ck_assert_int_eq(il_folder_make(above, NULL), IL_OK);
    ck_assert_int_eq(il_file_write(whole, data, size, NULL), IL_OK);
    free(above);
    free(whole);
}

static void put_text(const char *path, const char *text)
{
    put(path, text, strlen(text));
}

static void put_link(const char *target, const char *path)
{
    char *whole = il_path_join(folder, path);

    ck_assert_int_eq(symlink(target, whole), 0);
    free(whole);
}

/* runs/ is what is served, and everything that says "secret" must stay where it is. */
static void setup(void)
{
    char *large = malloc(LARGE);
    char *runs;

    ck_assert_ptr_nonnull(large);
    for (size_t i = 0; i < LARGE; i++) {
        large[i] = (char)('a' + i % 23);
    }
    (void)snprintf(folder, sizeof folder, "/tmp/il_serve_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    put_text("summary.json", "secret");
    put_text("outside/summary.json", "secret");
    put_text("outside/seed-1/audit.json", "secret");
    put_text("runs/summary.json", "secret");
    put_text("runs/.stages/abc/metrics.jsonl", "secret");
    put_text("runs/one/summary.json", "{\"rows\": [\n  {\n   \"point\": {}}]}");
    put_text("runs/one/report.html", "<!doctype html>");
    put_text("runs/one/plan.json", "secret");
    put_text("runs/one/.hidden/summary.json", "secret");
    put_text("runs/one/loop/leaky/seed-1/audit.json", "{}");
    put_text("runs/one/loop/leaky/seed-1/deep/audit.json", "secret");
    put("runs/one/loop/leaky/seed-1/metrics.jsonl", large, LARGE);
    put_text("runs/a b&c/log.txt", "info a: b\n");
    put_link("../outside", "runs/linked");
    put_link("../../outside/summary.json", "runs/one/log.txt");
    put_link("../../../../../outside", "runs/one/loop/leaky/seed-1/state");
    free(large);

    runs = il_path_join(folder, "runs");
    ck_assert_int_eq(il_server_open(&server, runs, 0, NULL), IL_OK);
    free(runs);
    ck_assert_int_eq(pipe(stop), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
}

static void teardown(void)
{
    ck_assert_int_eq((int)write(stop[1], "", 1), 1);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(ended, IL_OK);
    il_server_close(server);
    (void)close(stop[0]);
    (void)close(stop[1]);
    ck_assert_int_eq(il_folder_remove(folder, NULL), IL_OK);
}

/* A client's socket; -1 when the server's queue is full and it must not wait. */
static int client(bool waits)
{
    struct sockaddr_in at = {0};
    struct timeval patience = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_ge(fd, 0);
    at.sin_family = AF_INET;
    at.sin_port = htons(il_server_port(server));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (!waits) {
        ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    }
    if (connect(fd, (const struct sockaddr *)&at, sizeof at) != 0) {
        ck_assert_msg(!waits && errno == EINPROGRESS, "connect: %s", strerror(errno));
    }
    return fd;
}

/* Everything that comes until the server is done; the caller frees it. */
static void receive(int fd, il_text *out)
{
    char data[16384];
    ssize_t n;

    while ((n = recv(fd, data, sizeof data, 0)) > 0) {
        il_text_add_bytes(out, data, (size_t)n);
    }
    ck_assert(!out->failed);
}

/* Sends those bytes and takes the answer; its status, 0 for none. */
static int ask(const char *request, size_t size, il_text *out)
{
    int fd = client(true);
    int status = 0;

    (void)send(fd, request, size, MSG_NOSIGNAL); /* it may refuse before the end */
    receive(fd, out);
    (void)close(fd);
    if (out->size > 12 && strncmp(out->data, "HTTP/1.1 ", 9) == 0) {
        status = atoi(out->data + 9);
    }
    return status;
}

static int get(const char *path, const char *headers, il_text *out)
{
    char request[2048];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", path, headers);

    il_text_free(out);
    *out = (il_text){0};
    return ask(request, (size_t)size, out);
}

static const char *body_of(const il_text *answer)
{
    const char *end = answer->data != NULL ? strstr(answer->data, "\r\n\r\n") : NULL;

    ck_assert_ptr_nonnull(end);
    return end + 4;
}

static bool has(const il_text *answer, const char *piece)
{
    return answer->data != NULL && strstr(answer->data, piece) != NULL;
}

START_TEST(the_files_of_runs_are_served_whole)
{
    il_text answer = {0};
    const char *body;

    ck_assert_int_eq(get("/runs/one/summary.json", "", &answer), 200);
    ck_assert(has(&answer, "Content-Type: application/json\r\n"));
    ck_assert(has(&answer, "X-Content-Type-Options: nosniff\r\n"));
    ck_assert(has(&answer, "Content-Security-Policy: default-src 'none'"));
    ck_assert_str_eq(body_of(&answer), "{\"rows\": [\n  {\n   \"point\": {}}]}");
    ck_assert_int_eq(get("/runs/a%20b&c/log.txt", "", &answer), 200);
    ck_assert_str_eq(body_of(&answer), "info a: b\n");
    ck_assert_int_eq(get("/runs/one/report.html", "", &answer), 200);
    ck_assert(has(&answer, "text/html"));
    ck_assert(has(&answer, "sandbox"));
    ck_assert_int_eq(get("/runs/one/loop/leaky/seed-1/metrics.jsonl", "", &answer),
                     200);
    ck_assert(has(&answer, "Content-Length: 3145728\r\n"));
    ck_assert_uint_eq(answer.size - (size_t)(body_of(&answer) - answer.data), LARGE);
    body = body_of(&answer);
    for (size_t i = 0; i < LARGE; i++) {
        if (body[i] != (char)('a' + i % 23)) {
            ck_abort_msg("byte %zu is another", i);
        }
    }
    il_text_free(&answer);
}
END_TEST

START_TEST(the_page_and_its_parts_are_there)
{
    il_text answer = {0};

    ck_assert_int_eq(get("/", "", &answer), 200);
    ck_assert(has(&answer, "script-src 'self'"));
    ck_assert(!has(&answer, "unsafe"));
    ck_assert(!has(&answer, "http://"));
    ck_assert(!has(&answer, "https://"));
    ck_assert_int_eq(get("/page.css", "", &answer), 200);
    ck_assert_int_eq(get("/page.js", "", &answer), 200);
    ck_assert(has(&answer, "text/javascript"));
    il_text_free(&answer);
}
END_TEST

START_TEST(the_index_lists_runs_and_nothing_else)
{
    il_text answer = {0};
    char *at;

    ck_assert_int_eq(get("/index.json", "", &answer), 200);
    for (at = strstr(answer.data, "\"changed\":"); at != NULL;
         at = strstr(at + 10, "\"changed\":")) {
        memset(at + 10, '#', strspn(at + 10, "0123456789"));
    }
    /* Times have as many digits for the next centuries. */
    ck_assert_str_eq(
        body_of(&answer),
        "{\"runs\":{\"a b&c\":{\"changed\":#############,\"files\":[\"log.txt\"],"
        "\"jobs\":{},\"sweep\":false},"
        "\"one\":{\"changed\":#############,"
        "\"files\":[\"report.html\",\"summary.json\"],"
        "\"jobs\":{\"loop/leaky/seed-1\":[\"audit.json\",\"metrics.jsonl\"]},"
        "\"sweep\":true}},\"whole\":true}");
    il_text_free(&answer);
}
END_TEST

START_TEST(what_did_not_change_is_not_sent_again)
{
    static const char *const paths[] = {"/index.json", "/runs/one/summary.json"};

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        il_text answer = {0};
        char header[256];
        const char *tag;

        ck_assert_int_eq(get(paths[i], "", &answer), 200);
        tag = strstr(answer.data, "ETag: ");
        ck_assert_ptr_nonnull(tag);
        (void)snprintf(header, sizeof header, "If-None-Match: %.*s\r\n",
                       (int)strcspn(tag + 6, "\r"), tag + 6);
        ck_assert_int_eq(get(paths[i], header, &answer), 304);
        ck_assert_str_eq(body_of(&answer), "");
        ck_assert_int_eq(get(paths[i], "If-None-Match: \"old\"\r\n", &answer), 200);
        il_text_free(&answer);
    }
}
END_TEST

START_TEST(a_head_has_the_length_and_no_body)
{
    static const char *const paths[] = {"/", "/index.json",
                                        "/runs/one/loop/leaky/seed-1/metrics.jsonl"};

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        il_text answer = {0};
        char request[256];
        int size = snprintf(request, sizeof request,
                            "HEAD %s HTTP/1.1\r\nHost: localhost\r\n\r\n", paths[i]);

        ck_assert_int_eq(ask(request, (size_t)size, &answer), 200);
        ck_assert(has(&answer, "Content-Length: "));
        ck_assert(!has(&answer, "Content-Length: 0\r\n"));
        ck_assert_str_eq(body_of(&answer), "");
        il_text_free(&answer);
    }
}
END_TEST

START_TEST(nothing_outside_is_served)
{
    static const char *const paths[] = {
        "/summary.json",
        "/runs",
        "/runs/",
        "/runs/summary.json",
        "/runs/../summary.json",
        "/runs/one/../../summary.json",
        "/runs/%2e%2e/summary.json",
        "/runs/one/%2e%2e/%2e%2e/summary.json",
        "/runs/..%2fsummary.json",
        "/runs/%252e%252e/summary.json",
        "/runs/..%5csummary.json",
        "/runs/%c0%ae%c0%ae/summary.json",
        "/runs//etc/passwd",
        "/runs///summary.json",
        "//etc/passwd",
        "/../../../../etc/passwd",
        "/runs/./one/summary.json",
        "/runs/one/./summary.json",
        "/runs/one//summary.json",
        "/runs/one/summary.json/",
        "/runs/one/summary.json/log.txt",
        "/runs/one/summary.json%00.html",
        "/runs/one",
        "/runs/one/",
        "/runs/one/plan.json",
        "/runs/one/SUMMARY.JSON",
        "/runs/one/log.txt",
        "/runs/one/.hidden/summary.json",
        "/runs/.stages/abc/metrics.jsonl",
        "/runs/linked/summary.json",
        "/runs/linked/seed-1/audit.json",
        "/runs/one/loop/leaky/seed-1/state/summary.json",
        "/runs/one/loop/leaky/seed-1/state",
        "/runs/one/loop/leaky/seed-1/deep/audit.json",
        "/runs/one/loop/leaky/seed-1",
        "/runs/none/summary.json",
    };
    il_text answer = {0};

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        int status = get(paths[i], "", &answer);

        ck_assert_msg(status == 404 || status == 400, "%s gave %d", paths[i], status);
        ck_assert_msg(!has(&answer, "secret"), "%s gave a secret", paths[i]);
        ck_assert_msg(!has(&answer, "root:"), "%s gave a secret", paths[i]);
    }
    il_text_free(&answer);
}
END_TEST

START_TEST(a_pipe_with_a_known_name_does_not_hold_the_server)
{
    char *path = il_path_join(folder, "runs/one/audit.json");
    il_text answer = {0};

    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(get("/runs/one/audit.json", "", &answer), 404);
    il_text_free(&answer);
    free(path);
}
END_TEST

START_TEST(a_page_elsewhere_cannot_ask_by_its_own_name)
{
    static const char request[] =
        "GET /index.json HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    il_text answer = {0};

    ck_assert_int_eq(ask(request, sizeof request - 1, &answer), 403);
    ck_assert(!has(&answer, "changed"));
    il_text_free(&answer);
}
END_TEST

START_TEST(huge_heads_are_refused_and_said_so)
{
    size_t size = 60000;
    char *request = malloc(size);
    il_text answer = {0};

    ck_assert_ptr_nonnull(request);
    memset(request, 'a', size);
    memcpy(request, "GET / HTTP/1.1\r\nHost: localhost\r\nA: ", 36);
    ck_assert_int_eq(ask(request, size, &answer), 431);
    il_text_free(&answer);
    free(request);
}
END_TEST

START_TEST(a_client_that_leaves_early_hurts_nobody)
{
    static const char request[] =
        "GET /runs/one/loop/leaky/seed-1/metrics.jsonl HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct linger at_once = {.l_onoff = 1};
    il_text answer = {0};

    for (size_t i = 0; i < 100; i++) {
        int fd = client(true);

        (void)send(fd, request, sizeof request - 1 - i % 4 * 10, MSG_NOSIGNAL);
        if (i % 2 == 0) { /* with a reset */
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        }
        (void)close(fd);
    }
    ck_assert_int_eq(get("/", "", &answer), 200);
    il_text_free(&answer);
}
END_TEST

START_TEST(clients_that_say_nothing_and_readers_that_do_not_read_give_up_their_places)
{
    static const char request[] =
        "GET /runs/one/loop/leaky/seed-1/metrics.jsonl HTTP/1.1\r\nHost: localhost\r\n\r\n";
    int slow[2 * IL_SERVER_CONNECTIONS];
    il_text answer = {0};

    for (size_t i = 0; i < sizeof slow / sizeof slow[0]; i++) {
        slow[i] = client(true);
        if (i < 8) { /* never read */
            (void)send(slow[i], request, sizeof request - 1, MSG_NOSIGNAL);
        } else { /* half a request */
            (void)send(slow[i], request, 20, MSG_NOSIGNAL);
        }
    }
    ck_assert_int_eq(get("/index.json", "", &answer), 200);
    for (size_t i = 0; i < sizeof slow / sizeof slow[0]; i++) {
        (void)close(slow[i]);
    }
    il_text_free(&answer);
}
END_TEST

START_TEST(a_thousand_connections_at_once_are_survived)
{
    enum { MANY = 1000 };
    struct rlimit limit;
    il_text answer = {0};
    int *many = malloc(MANY * sizeof *many);

    ck_assert_ptr_nonnull(many);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (size_t i = 0; i < MANY; i++) {
        many[i] = client(false);
        (void)send(many[i], "GET / HTTP/1.1\r\n", 16, MSG_NOSIGNAL);
    }
    for (size_t i = 0; i < MANY; i++) {
        (void)close(many[i]);
    }
    ck_assert_int_eq(get("/index.json", "", &answer), 200);
    il_text_free(&answer);
    free(many);
}
END_TEST

static size_t open_descriptors(void)
{
    size_t count = 0;

    for (int fd = 0; fd < 4096; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

/* Pages in memory; 0 where the system does not say. */
static long pages_resident(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long whole = 0;
    long resident = 0;

    if (f != NULL) {
        if (fscanf(f, "%ld %ld", &whole, &resident) != 2) {
            resident = 0;
        }
        (void)fclose(f);
    }
    return resident;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { MEMORY_TELLS = 0 }; /* a sanitizer keeps what was freed for a while */
#else
enum { MEMORY_TELLS = 1 };
#endif

/* Beside those that ask properly a slow client every 8 ms, which leaves when 16 have
 * come after it. IL_HAMMER_SECONDS says for how long; 3 by default. */
START_TEST(a_request_a_millisecond_is_answered_and_leaves_nothing_behind)
{
    enum { SLOW = 16, SETTLED = 1000, LEAST = 3000 };
    static const char *const paths[] = {"/", "/index.json", "/runs/one/summary.json",
                                        "/runs/one/../../summary.json", "/x"};
    static const int statuses[] = {200, 200, 200, 404, 404};
    const char *seconds = getenv("IL_HAMMER_SECONDS");
    size_t rounds = seconds != NULL ? 1000 * (size_t)strtoul(seconds, NULL, 10) : 0;
    il_text answer = {0};
    struct timespec next;
    size_t before = open_descriptors();
    long settled = 0;
    int slow[SLOW];

    for (size_t i = 0; i < SLOW; i++) {
        slow[i] = -1;
    }
    rounds = rounds < LEAST ? LEAST : rounds;
    (void)clock_gettime(CLOCK_MONOTONIC, &next);
    for (size_t i = 0; i < rounds; i++) {
        ck_assert_int_eq(get(paths[i % 5], "", &answer), statuses[i % 5]);
        if (i % 8 == 0) {
            int *place = &slow[i / 8 % SLOW];

            if (*place >= 0) {
                (void)close(*place);
            }
            *place = client(false);
            (void)send(*place, "GET / HT", 8, MSG_NOSIGNAL);
        }
        if (i == SETTLED) {
            settled = pages_resident();
        }
        next.tv_nsec += 1000000;
        next.tv_sec += next.tv_nsec / 1000000000;
        next.tv_nsec %= 1000000000;
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
    for (size_t i = 0; i < SLOW; i++) {
        (void)close(slow[i]);
    }
    /* The server closes a moment after its clients do; the next answers see to it. */
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(get("/", "", &answer), 200);
    }
    ck_assert_uint_le(open_descriptors(), before + 2);
    if (MEMORY_TELLS) {
        ck_assert_int_le(pages_resident() - settled, (1 << 20) / sysconf(_SC_PAGESIZE));
    }
    il_text_free(&answer);
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_an_input_error)
{
    il_server *none = NULL;
    il_error err = {0};

    ck_assert_int_eq(il_server_open(&none, "/nonexistent/runs", 0, &err), IL_ERR_INPUT);
    ck_assert_ptr_null(none);
    ck_assert_ptr_nonnull(strstr(err.where, "/nonexistent/runs"));
}
END_TEST

START_TEST(a_port_that_is_taken_is_said)
{
    il_server *second = NULL;
    il_error err = {0};

    ck_assert_int_eq(il_server_open(&second, folder, il_server_port(server), &err),
                     IL_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "cannot listen at port"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server");
    TCase *tests = tcase_create("server");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, the_files_of_runs_are_served_whole);
    tcase_add_test(tests, the_page_and_its_parts_are_there);
    tcase_add_test(tests, the_index_lists_runs_and_nothing_else);
    tcase_add_test(tests, what_did_not_change_is_not_sent_again);
    tcase_add_test(tests, a_head_has_the_length_and_no_body);
    tcase_add_test(tests, nothing_outside_is_served);
    tcase_add_test(tests, a_pipe_with_a_known_name_does_not_hold_the_server);
    tcase_add_test(tests, a_page_elsewhere_cannot_ask_by_its_own_name);
    tcase_add_test(tests, huge_heads_are_refused_and_said_so);
    tcase_add_test(tests, a_client_that_leaves_early_hurts_nobody);
    tcase_add_test(
        tests,
        clients_that_say_nothing_and_readers_that_do_not_read_give_up_their_places);
    tcase_add_test(tests, a_thousand_connections_at_once_are_survived);
    tcase_add_test(tests,
                   a_request_a_millisecond_is_answered_and_leaves_nothing_behind);
    tcase_add_test(tests, a_folder_that_is_not_there_is_an_input_error);
    tcase_add_test(tests, a_port_that_is_taken_is_said);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
