/* The verb `config`, called as the command calls it. Its source is part of this
 * program: the verbs are in no library. */
#include "../../tools/verb_config.c"

#include <check.h>
#include <fcntl.h>
#include <unistd.h>
#include "base/files.h"

typedef struct outcome {
    int code;
    char out[1 << 16];
    char err[1 << 14];
} outcome;

static void slurp(const char *path, char *text, size_t room)
{
    il_error err = {0};
    char *data = NULL;
    size_t size = 0;

    ck_assert_int_eq(il_file_read(path, room - 1, &data, &size, &err), IL_OK);
    memcpy(text, data, size + 1);
    free(data);
}

/* Runs the verb with its output in files; `words` end in NULL. */
static void run(outcome *o, const char *const *words)
{
    char folder[] = "/tmp/il_verb_XXXXXX";
    char paths[2][64];
    int saved[2];
    char *argv[16];
    int argc = 0;
    il_error err = {0};

    for (; words[argc] != NULL; argc++) {
        argv[argc] = strdup(words[argc]);
    }
    argv[argc] = NULL;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    for (int i = 0; i < 2; i++) {
        int fd;

        (void)snprintf(paths[i], sizeof paths[i], "%s/%d", folder, i);
        fflush(i == 0 ? stdout : stderr);
        saved[i] = dup(i + 1);
        fd = open(paths[i], O_WRONLY | O_CREAT, 0600);
        ck_assert_int_ge(dup2(fd, i + 1), 0);
        close(fd);
    }
    o->code = il_verb_config(argc, argv);
    for (int i = 0; i < 2; i++) {
        fflush(i == 0 ? stdout : stderr);
        ck_assert_int_ge(dup2(saved[i], i + 1), 0);
        close(saved[i]);
    }
    slurp(paths[0], o->out, sizeof o->out);
    slurp(paths[1], o->err, sizeof o->err);
    (void)il_folder_remove(folder, &err);
    for (int i = 0; i < argc; i++) {
        free(argv[i]);
    }
}

#define RUN(o, ...)                                                                    \
    do {                                                                               \
        static const char *const words_[] = {"config", __VA_ARGS__, NULL};             \
        run(o, words_);                                                                \
    } while (0)

#define LIAR "configs/liar/full.yaml"

static outcome o;

/* Tests name files from the repository's top. */
static void go_home(void)
{
    const char *root = getenv("IL_ROOT");

    if (root != NULL) {
        ck_assert_int_eq(chdir(root), 0);
    }
}

START_TEST(a_good_pipeline_validates)
{
    RUN(&o, "validate", LIAR, "tests/fixtures/pipelines/far_lever.yaml");
    ck_assert_int_eq(o.code, 0);
    ck_assert_str_eq(o.out, LIAR ": ok\ntests/fixtures/pipelines/far_lever.yaml: ok\n");
    ck_assert_str_eq(o.err, "");
}
END_TEST

START_TEST(a_wrong_setting_is_exit_2_with_every_problem_on_stderr)
{
    RUN(&o, "validate", LIAR, "--set", "stages.loop.train.steps=0", "--set",
        "detectors.prob.tokens=all");
    ck_assert_int_eq(o.code, 2);
    ck_assert_str_eq(o.out, "");
    ck_assert_ptr_nonnull(strstr(o.err, "--set stages.loop.train.steps=0:1:1: error: "
                                        "expected a whole number of at least 1"));
    ck_assert_ptr_nonnull(strstr(o.err, "did you mean 'probe'?"));
}
END_TEST

START_TEST(print_writes_one_job_s_document)
{
    RUN(&o, "print", LIAR, "--stage", "loop", "--variant", "shadow", "--seed", "5");
    ck_assert_int_eq(o.code, 0);
    ck_assert_ptr_nonnull(strstr(o.out, "\nseed: 5\n"));
    ck_assert_ptr_nonnull(strstr(o.out, "shadow: probe"));
    ck_assert_ptr_null(strstr(o.out, "variants"));
    RUN(&o, "print", LIAR);
    ck_assert_int_eq(o.code, 0);
    ck_assert_ptr_nonnull(strstr(o.out, "variants:"));
    RUN(&o, "print", LIAR, "--stage", "loop", "--variant", "naive", "--sources");
    ck_assert_ptr_nonnull(strstr(o.out, "  # " LIAR ":"));
}
END_TEST

START_TEST(what_is_asked_wrongly_is_exit_2)
{
    RUN(&o, "print", LIAR, "--stage", "loop");
    ck_assert_int_eq(o.code, 2);
    ck_assert_ptr_nonnull(strstr(o.err, "name one by --variant"));
    RUN(&o, "print", LIAR, "--stage", "loop", "--variant", "shadwo");
    ck_assert_int_eq(o.code, 2);
    ck_assert_ptr_nonnull(strstr(o.err, "did you mean 'shadow'?"));
    RUN(&o, "print", "no/such.yaml");
    ck_assert_int_eq(o.code, 2);
    ck_assert_ptr_nonnull(strstr(o.err, "no/such.yaml"));
    RUN(&o, "validate");
    ck_assert_int_eq(o.code, 2);
    RUN(&o, "valdate", LIAR);
    ck_assert_int_eq(o.code, 2);
    RUN(&o, "validate", LIAR, "--nonsense");
    ck_assert_int_eq(o.code, 2);
    RUN(&o, "print", LIAR, "--seed", "x");
    ck_assert_int_eq(o.code, 2);
}
END_TEST

START_TEST(help_is_on_stdout)
{
    RUN(&o, "--help");
    ck_assert_int_eq(o.code, 0);
    ck_assert_ptr_nonnull(strstr(o.out, "usage: interloop config"));
    RUN(&o, "print", "--help");
    ck_assert_int_eq(o.code, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *tc = tcase_create("config");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, go_home, NULL);
    tcase_add_test(tc, a_good_pipeline_validates);
    tcase_add_test(tc, a_wrong_setting_is_exit_2_with_every_problem_on_stderr);
    tcase_add_test(tc, print_writes_one_job_s_document);
    tcase_add_test(tc, what_is_asked_wrongly_is_exit_2);
    tcase_add_test(tc, help_is_on_stdout);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
