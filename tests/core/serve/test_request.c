#include "serve/request.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST "Host: localhost:8477\r\n"

/* What a whole request comes to. The copy is as large as the text, so that a sanitizer
 * sees a read past its end. */
static int parse(const char *text, il_request *out)
{
    size_t size = strlen(text);
    char *copy = malloc(size > 0 ? size : 1);
    int status;

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, text, size);
    status = il_request_parse(copy, size, out);
    free(copy);
    return status;
}

static int status_of(const char *text)
{
    il_request r;

    return parse(text, &r);
}

START_TEST(a_plain_request_is_read)
{
    il_request r;

    ck_assert_int_eq(parse("GET /runs/a%20b/log.txt?x=%00 HTTP/1.1\r\n" HOST
                           "if-none-match:  \"abc\" \r\nAccept: */*\r\n\r\n",
                           &r),
                     200);
    ck_assert(!r.head);
    ck_assert_str_eq(r.path, "/runs/a b/log.txt");
    ck_assert_str_eq(r.match, "\"abc\"");
    ck_assert_int_eq(parse("HEAD / HTTP/1.0\r\n" HOST "\r\n", &r), 200);
    ck_assert(r.head);
    ck_assert_str_eq(r.match, "");
}
END_TEST

START_TEST(every_part_of_a_request_waits_for_the_rest)
{
    static const char text[] = "GET /index.json HTTP/1.1\r\n" HOST "A: b\r\n\r\n";
    il_request r;

    for (size_t size = 0; size < sizeof text - 1; size++) {
        char *copy = malloc(size + 1);

        ck_assert_ptr_nonnull(copy);
        memcpy(copy, text, size);
        ck_assert_int_eq(il_request_parse(copy, size, &r), 0);
        free(copy);
    }
    ck_assert_int_eq(il_request_parse(text, sizeof text - 1, &r), 200);
}
END_TEST

START_TEST(every_changed_byte_is_survived)
{
    static const char text[] =
        "GET /a%41 HTTP/1.1\r\n" HOST "If-None-Match: \"x\"\r\n\r\n";
    size_t size = sizeof text - 1;
    char *copy = malloc(size);

    ck_assert_ptr_nonnull(copy);
    for (size_t i = 0; i < size; i++) {
        for (int c = 0; c < 256; c++) {
            il_request r = {.path = "unset"};
            int status;

            memcpy(copy, text, size);
            copy[i] = (char)c;
            status = il_request_parse(copy, size, &r);
            ck_assert(status == 0 || status == 200 || (status >= 400 && status <= 505));
            ck_assert(status != 200 || r.path[0] == '/');
        }
    }
    free(copy);
}
END_TEST

START_TEST(a_head_that_does_not_end_is_too_large)
{
    char *text = malloc(IL_REQUEST_MAX + 1);
    il_request r;

    ck_assert_ptr_nonnull(text);
    memset(text, 'a', IL_REQUEST_MAX);
    text[IL_REQUEST_MAX] = '\0';
    ck_assert_int_eq(il_request_parse(text, IL_REQUEST_MAX - 1, &r), 0);
    ck_assert_int_eq(il_request_parse(text, IL_REQUEST_MAX, &r), 431);
    free(text);
}
END_TEST

START_TEST(a_long_path_is_refused)
{
    char text[2 * IL_REQUEST_PATH_MAX];
    char name[IL_REQUEST_PATH_MAX];

    memset(name, 'a', sizeof name);
    (void)snprintf(text, sizeof text, "GET /%.*s HTTP/1.1\r\n" HOST "\r\n",
                   IL_REQUEST_PATH_MAX - 1, name);
    ck_assert_int_eq(status_of(text), 414);
    (void)snprintf(text, sizeof text, "GET /%.*s HTTP/1.1\r\n" HOST "\r\n",
                   IL_REQUEST_PATH_MAX - 2, name);
    ck_assert_int_eq(status_of(text), 200);
}
END_TEST

START_TEST(methods_that_could_change_anything_are_refused)
{
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "get"};

    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        char text[128];

        (void)snprintf(text, sizeof text, "%s / HTTP/1.1\r\n" HOST "\r\n", methods[i]);
        ck_assert_int_eq(status_of(text), 405);
    }
}
END_TEST

START_TEST(lines_that_are_no_request_are_refused)
{
    static const char *const lines[] = {
        "",
        "GET",
        "GET /",
        " GET / HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET / x HTTP/1.1",
        "GET / HTTP/1.1 ",
        "G(T / HTTP/1.1",
        "GET * HTTP/1.1",
        "GET http://localhost/ HTTP/1.1",
        "GET /%2 HTTP/1.1",
        "GET /%zz HTTP/1.1",
        "GET /%00 HTTP/1.1",
        "GET /a%0d%0ab HTTP/1.1",
        "GET /a%2fb HTTP/1.1",
        "GET /a%5cb HTTP/1.1",
        "GET /a\\b HTTP/1.1",
        "GET /a\tb HTTP/1.1",
        "GET / HTTP/1.1\nHost: localhost",
    };

    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char text[256];

        (void)snprintf(text, sizeof text, "%s\r\n" HOST "\r\n", lines[i]);
        ck_assert_msg(status_of(text) == 400, "'%s' gave %d", lines[i],
                      status_of(text));
    }
    ck_assert_int_eq(status_of("GET / HTTP/2.0\r\n" HOST "\r\n"), 505);
}
END_TEST

START_TEST(headers_that_could_be_read_in_two_ways_are_refused)
{
    static const char *const headers[] = {
        HOST HOST,
        HOST "Host: evil.example\r\n",
        HOST "host : localhost\r\n",
        HOST " folded: x\r\n",
        HOST "A: b\r\n c\r\n",
        HOST "no colon\r\n",
        HOST ": no name\r\n",
        HOST "A: \x01\r\n",
        HOST "A: b\nHost: evil.example\r\n",
        HOST "A: b\rC: d\r\n",
        HOST "Content-Length: 5\r\n",
        HOST "Content-Length: 0, 5\r\n",
        HOST "Transfer-Encoding: chunked\r\n",
        HOST "If-None-Match: \"a\"\r\nIf-None-Match: \"b\"\r\n",
        "",
    };

    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        char text[256];

        (void)snprintf(text, sizeof text, "GET / HTTP/1.1\r\n%s\r\n", headers[i]);
        ck_assert_msg(status_of(text) == 400, "'%s' gave %d", headers[i],
                      status_of(text));
    }
}
END_TEST

START_TEST(only_a_loopback_name_is_a_host)
{
    static const struct {
        const char *host;
        int status;
    } cases[] = {
        {"localhost", 200},
        {"LOCALHOST:1", 200},
        {"127.0.0.1:65535", 200},
        {"[::1]:80", 200},
        {"[::1]", 200},
        {"", 403},
        {"evil.example", 403},
        {"localhost.evil.example", 403},
        {"127.0.0.1.nip.io", 403},
        {"127.0.0.1:", 403},
        {"127.0.0.1:80a", 403},
        {"127.0.0.1:123456", 403},
        {"localhost:80:80", 403},
        {"user@localhost", 403},
        {"127.0.0.2", 403},
        {"0.0.0.0", 403},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];

        (void)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n",
                       cases[i].host);
        ck_assert_msg(status_of(text) == cases[i].status, "'%s' gave %d", cases[i].host,
                      status_of(text));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("request");
    TCase *tests = tcase_create("request");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, a_plain_request_is_read);
    tcase_add_test(tests, every_part_of_a_request_waits_for_the_rest);
    tcase_add_test(tests, every_changed_byte_is_survived);
    tcase_add_test(tests, a_head_that_does_not_end_is_too_large);
    tcase_add_test(tests, a_long_path_is_refused);
    tcase_add_test(tests, methods_that_could_change_anything_are_refused);
    tcase_add_test(tests, lines_that_are_no_request_are_refused);
    tcase_add_test(tests, headers_that_could_be_read_in_two_ways_are_refused);
    tcase_add_test(tests, only_a_loopback_name_is_a_host);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
