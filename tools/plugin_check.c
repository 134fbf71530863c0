/* interloop plugin check: the validator on the command line, as TAP or as JSON. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "plugin.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "check/check.h"

enum { GIVEN_MAX = 64 };

typedef struct printing {
    const il_check_options *o;
    json_t *results; /* NULL for TAP */
} printing;

static void print_tap(const il_check_options *o, const il_check_result *r)
{
    printf("%s %zu - %s: %s%s%s%s%s\n", r->verdict == IL_CHECK_FAILED ? "not ok" : "ok",
           r->number, r->group, r->component, r->component[0] != '\0' ? ": " : "",
           r->name, r->verdict == IL_CHECK_SKIPPED ? " # SKIP " : "",
           r->verdict == IL_CHECK_SKIPPED ? r->detail : "");
    if (r->verdict == IL_CHECK_FAILED) {
        printf("# %s\n# again: interloop plugin check %s --seed %llu --only %s\n",
               r->detail, o->path, (unsigned long long)o->seed, r->group);
    }
    (void)fflush(stdout);
}

static void report(void *user, const il_check_result *r)
{
    static const char *const verdicts[] = {"passed", "failed", "skipped"};
    printing *p = user;
    json_t *detail;

    if (p->results == NULL) {
        print_tap(p->o, r);
        return;
    }
    /* What a plugin printed need not be UTF-8; jansson then gives no string. */
    detail = json_string(r->detail);
    if (detail == NULL) {
        detail = json_string("(not UTF-8)");
    }
    (void)json_array_append_new(p->results,
                                json_pack("{s:I, s:s, s:s, s:s, s:s, s:o, s:f}",
                                          "number", (json_int_t)r->number, "group",
                                          r->group, "component", r->component, "name",
                                          r->name, "verdict", verdicts[r->verdict],
                                          "detail", detail, "seconds", r->seconds));
}

/* The value of an option written as --name VALUE or --name=VALUE, or NULL. */
static const char *value_of(const char *name, int argc, char **argv, int *i)
{
    size_t size = strlen(name);

    if (strncmp(argv[*i], name, size) != 0) {
        return NULL;
    }
    if (argv[*i][size] == '=') {
        return argv[*i] + size + 1;
    }
    return argv[*i][size] == '\0' && *i + 1 < argc ? argv[++*i] : NULL;
}

static bool take_option(il_check_options *o, const char **given, int argc, char **argv,
                        int *i)
{
    const char *value;

    if ((value = value_of("--seed", argc, argv, i)) != NULL) {
        return il_parse_uint(value, &o->seed);
    }
    if ((value = value_of("--seconds", argc, argv, i)) != NULL) {
        return il_parse_real(value, &o->seconds) && o->seconds > 0 &&
               o->seconds <= 86400;
    }
    if ((value = value_of("--only", argc, argv, i)) != NULL) {
        o->only = value;
        return true;
    }
    if ((value = value_of("--set", argc, argv, i)) != NULL &&
        strchr(value, '=') != NULL && o->given_count < GIVEN_MAX) {
        given[o->given_count++] = value;
        return true;
    }
    return false;
}

/* How to have the same again, after the results. */
static void print_end(const il_check_options *o, const printing *p,
                      const il_check_tally *tally)
{
    json_t *whole;
    char *text;

    if (p->results == NULL) {
        printf("1..%zu\n# %zu passed, %zu failed, %zu skipped; seed %llu\n",
               tally->passed + tally->failed + tally->skipped, tally->passed,
               tally->failed, tally->skipped, (unsigned long long)o->seed);
        return;
    }
    whole = json_pack("{s:s, s:I, s:I, s:I, s:I, s:O}", "path", o->path, "seed",
                      (json_int_t)o->seed, "passed", (json_int_t)tally->passed,
                      "failed", (json_int_t)tally->failed, "skipped",
                      (json_int_t)tally->skipped, "results", p->results);
    text = json_dumps(whole, JSON_INDENT(1) | JSON_REAL_PRECISION(4));
    puts(text != NULL ? text : "");
    free(text);
    json_decref(whole);
}

int il_plugin_check(int argc, char **argv)
{
    const char *given[GIVEN_MAX];
    const char *file = NULL;
    printing p = {NULL, NULL};
    il_check_options o = {
        .seed = 1, .seconds = 20, .given = given, .report = report, .user = &p};
    il_check_tally tally;
    il_error err = {0};
    char *path;
    il_status status;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            json_decref(p.results);
            p.results = json_array();
        } else if (argv[i][0] != '-' && file == NULL) {
            file = argv[i];
        } else if (!take_option(&o, given, argc, argv, &i)) {
            json_decref(p.results);
            return il_plugin_wrong("cannot use ", argv[i]);
        }
    }
    if (file == NULL) {
        json_decref(p.results);
        return il_plugin_wrong("expected a file", "");
    }
    path = realpath(file, NULL);
    o.path = path;
    p.o = &o;
    status = path != NULL ? il_check_run(&o, &tally, &err)
                          : il_error_set(&err, IL_ERR_INPUT, file, "cannot open: %s",
                                         strerror(errno));
    if (status == IL_OK) {
        print_end(&o, &p, &tally);
    }
    json_decref(p.results);
    free(path);
    if (status != IL_OK) {
        return il_plugin_complain(&err);
    }
    return tally.failed > 0 ? 1 : 0;
}
