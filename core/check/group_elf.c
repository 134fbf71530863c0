/* Group elf: what the file's bytes show, before anything of it runs. */
#include "check/check_private.h"

#include <stdlib.h>
#include <string.h>
#include "base/compiler.h"
#include "base/files.h"

enum { FILE_LIMIT = 256 << 20 };

static il_status read_elf(il__trial *t, il_elf *elf, il_error *err)
{
    char *data = NULL;
    size_t size = 0;

    IL_TRY(il_file_read(t->o->path, FILE_LIMIT, &data, &size, err));
    return il_elf_read(elf, data, size, t->o->path, err);
}

static il_status exports_entry_alone(il__trial *t, il_error *err)
{
    /* What linkers of some years ago put in without being asked. */
    static const char *const harmless[] = {"_init", "_fini", "_edata", "_end",
                                           "__bss_start"};
    const char *name;
    size_t cursor = 0;
    il_elf elf;

    IL_TRY(read_elf(t, &elf, err));
    while ((name = il_elf_exported(&elf, &cursor)) != NULL) {
        bool fine = strcmp(name, "il_plugin_entry") == 0 ||
                    (IL_SANITIZED && strncmp(name, "__", 2) == 0);

        for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
            fine = fine || strcmp(name, harmless[i]) == 0;
        }
        if (!fine) {
            return il__found(
                err,
                "exports '%s': compile with -fvisibility=hidden, and leave "
                "il_plugin_entry to IL_PLUGIN",
                name);
        }
    }
    return elf.entry_kind == IL_ELF_ENTRY_OBJECT
               ? IL_OK
               : il__found(err, "exports no data il_plugin_entry: define it by "
                                "IL_PLUGIN");
}

static il_status needs_libc_alone(il__trial *t, il_error *err)
{
    il_elf elf;

    IL_TRY(read_elf(t, &elf, err));
    return il_image_judge_needs(&elf, t->o->path, err);
}

/* What a plugin has no business with, and why. */
static const struct {
    const char *why;
    const char *names[24];
} forbidden[] = {
    {"a plugin never ends its host",
     {"exit", "_exit", "_Exit", "quick_exit", "abort", "kill", "raise", NULL}},
    {"a plugin starts no process and no thread",
     {"fork", "vfork", "system", "popen", "posix_spawn", "posix_spawnp", "execve",
      "execv", "execvp", "pthread_create", "thrd_create", NULL}},
    {"a plugin installs no handler",
     {"signal", "sigaction", "sigprocmask", "pthread_sigmask", "atexit", "on_exit",
      "setitimer", "alarm", "longjmp", "_longjmp", "siglongjmp", "__longjmp_chk",
      NULL}},
    {"a plugin prints nothing: il_setup_log writes to the run's log",
     {"printf", "__printf_chk", "puts", "putchar", "vprintf", "__vprintf_chk", "perror",
      "stdout", "stderr", "syslog", NULL}},
    {"a plugin leaves its host as it is",
     {"setlocale", "setenv", "unsetenv", "putenv", "clearenv", "chdir", "fchdir",
      "umask", "fesetround", "fesetenv", "feenableexcept", NULL}},
    {"draws come from keyed streams (il_rng_open), and nothing depends on the time",
     {"rand", "srand", "rand_r", "random", "srandom", "drand48", "lrand48", "mrand48",
      "srand48", "getrandom", "arc4random", "time", "clock", "clock_gettime",
      "gettimeofday", NULL}},
    {"a plugin loads nothing", {"dlopen", "dlsym", "dlmopen", NULL}},
};

static il_status asks_for_nothing_forbidden(il__trial *t, il_error *err)
{
    const char *name;
    size_t cursor = 0;
    il_elf elf;

    IL_TRY(read_elf(t, &elf, err));
    while ((name = il_elf_imported(&elf, &cursor)) != NULL) {
        for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
            for (size_t k = 0; forbidden[i].names[k] != NULL; k++) {
                if (strcmp(name, forbidden[i].names[k]) == 0) {
                    return il__found(err, "calls %s of libc: %s", name,
                                     forbidden[i].why);
                }
            }
        }
    }
    return IL_OK;
}

static il_status has_no_text_relocations(il__trial *t, il_error *err)
{
    il_elf elf;

    IL_TRY(read_elf(t, &elf, err));
    return elf.text_relocations
               ? il__found(err, "it has text relocations: compile with -fPIC")
               : IL_OK;
}

static il_status has_no_executable_stack(il__trial *t, il_error *err)
{
    il_elf elf;

    IL_TRY(read_elf(t, &elf, err));
    return elf.executable_stack ? il__found(err, "it wants an executable stack: link "
                                                 "with -Wl,-z,noexecstack")
                                : IL_OK;
}

static il_status has_no_run_path(il__trial *t, il_error *err)
{
    il_elf elf;

    IL_TRY(read_elf(t, &elf, err));
    return elf.search_path
               ? il__found(err, "it has an RPATH or RUNPATH: link without -rpath")
               : IL_OK;
}

static il_status is_taken(il__trial *t, il_error *err)
{
    return il_image_read(&t->image, t->o->path, true, err);
}

static const il__row rows[] = {
    {"it exports il_plugin_entry and nothing else", IL__FILE, exports_entry_alone},
    {"it needs libc and libm alone", IL__FILE, needs_libc_alone},
    {"it calls nothing that is the host's to do", IL__FILE, asks_for_nothing_forbidden},
    {"it has no text relocations", IL__FILE, has_no_text_relocations},
    {"it has no executable stack", IL__FILE, has_no_executable_stack},
    {"it has no run path", IL__FILE, has_no_run_path},
    {"the host would load it", IL__FILE | IL__VITAL, is_taken},
};

const il__group il__group_elf = {"elf", rows, sizeof rows / sizeof rows[0], false};
