#include "plugin/loader.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif
#include "plugin/elf.h"
#include "plugin/entry.h"
#include "plugin/sealed.h"

enum { FILE_LIMIT = 256 << 20 };

il_status il_folder_check(const char *folder, il_error *err)
{
    struct stat st;

    if (stat(folder, &st) != 0) {
        return il_error_set(err, IL_ERR_INPUT, folder, "cannot open the folder: %s",
                            strerror(errno));
    }
    if (!S_ISDIR(st.st_mode)) {
        return il_error_set(err, IL_ERR_INPUT, folder, "expected a folder of plugins");
    }
    if (st.st_mode & S_IWOTH) {
        return il_error_set(
            err, IL_ERR_INPUT, folder,
            "everybody may write to this folder of plugins (mode %04o): "
            "chmod o-w it",
            (unsigned)(st.st_mode & 07777));
    }
    return IL_OK;
}

/* The whole of an open file, malloc'ed. */
static il_status read_all(int fd, size_t size, const char *path, char **data,
                          il_error *err)
{
    char *bytes = malloc(size + 1);
    size_t have = 0;

    if (bytes == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    while (have < size) {
        ssize_t got = read(fd, bytes + have, size - have);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            free(bytes);
            return il_error_set(err, IL_ERR_IO, path, "cannot read: %s",
                                got < 0 ? strerror(errno) : "it became shorter");
        }
        have += (size_t)got;
    }
    *data = bytes;
    return IL_OK;
}

/* Opens without following a link, so that what is judged is what the folder holds. */
static il_status read_file(const char *path, char **data, size_t *size, il_error *err)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    il_status status = IL_OK;
    struct stat st;

    if (fd < 0) {
        return errno == ELOOP
                   ? il_error_set(err, IL_ERR_INPUT, path,
                                  "is a symbolic link: put the file itself here")
                   : il_error_set(err, IL_ERR_INPUT, path, "cannot open: %s",
                                  strerror(errno));
    }
    if (fstat(fd, &st) != 0) {
        status = il_error_set(err, IL_ERR_IO, path, "cannot look at it: %s",
                              strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        status = il_error_set(err, IL_ERR_INPUT, path, "expected a regular file");
    } else if (st.st_mode & S_IWOTH) {
        status = il_error_set(err, IL_ERR_INPUT, path,
                              "everybody may write to this file (mode %04o): chmod o-w "
                              "it",
                              (unsigned)(st.st_mode & 07777));
    } else if (st.st_size > FILE_LIMIT) {
        status =
            il_error_set(err, IL_ERR_INPUT, path, "has %lld bytes, expected at most %d",
                         (long long)st.st_size, FILE_LIMIT);
    } else {
        *size = (size_t)st.st_size;
        status = read_all(fd, *size, path, data, err);
    }
    (void)close(fd);
    return status;
}

/* Whether this process has a symbol itself. */
static bool host_has(const char *symbol)
{
    void *self = dlopen(NULL, RTLD_NOW);
    bool has = self != NULL && dlsym(self, symbol) != NULL;

    if (self != NULL) {
        (void)dlclose(self);
    }
    return has;
}

/* A sanitizer's library, where the host itself was built with it. */
static bool is_sanitizer(const char *library)
{
    static const struct {
        const char *prefix;
        const char *symbol;
    } known[] = {
        {"libasan.so.", "__asan_init"},
        {"libtsan.so.", "__tsan_init"},
        {"libubsan.so.", "__ubsan_handle_add_overflow"},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strncmp(library, known[i].prefix, strlen(known[i].prefix)) == 0) {
            return host_has(known[i].symbol);
        }
    }
    return false;
}

/* libc and libm, and libc's own loader. */
static bool is_libc(const char *library)
{
    return strcmp(library, "libc.so.6") == 0 || strcmp(library, "libm.so.6") == 0 ||
           strcmp(library, "ld-linux-x86-64.so.2") == 0 ||
           strcmp(library, "ld-linux-aarch64.so.1") == 0;
}

/* The symbols that a sanitizer's compiler adds, where the host has them. */
static bool may_miss(const char *symbol)
{
    return strncmp(symbol, "__", 2) == 0 &&
           (strncmp(symbol, "__asan_", 7) == 0 || strncmp(symbol, "__tsan_", 7) == 0 ||
            strncmp(symbol, "__ubsan_", 8) == 0 ||
            strncmp(symbol, "__sanitizer_", 12) == 0) &&
           host_has(symbol);
}

il_status il_image_judge_needs(const il_elf *elf, const char *path, il_error *err)
{
    const char *symbol;
    bool sanitized = false;
    size_t cursor = 0;

    for (size_t i = 0; i < elf->needed_count; i++) {
        bool sanitizer = is_sanitizer(elf->needed[i]);

        sanitized = sanitized || sanitizer;
        if (!sanitizer && !is_libc(elf->needed[i])) {
            return il_error_set(err, IL_ERR_INPUT, path,
                                "needs the library %s: a plugin may need libc and libm "
                                "alone",
                                elf->needed[i]);
        }
    }
    /* A sanitizer's library stands in for parts of libc, under the same names
     * without a version. */
    while (!sanitized && (symbol = il_elf_undefined(elf, &cursor)) != NULL) {
        if (!may_miss(symbol)) {
            return il_error_set(err, IL_ERR_INPUT, path,
                                "needs the symbol %s, which neither libc nor libm has: "
                                "link with -Wl,-z,defs to see where",
                                symbol);
        }
    }
    return IL_OK;
}

static il_status judge_elf(const il_elf *elf, const char *path, il_error *err)
{
    if (!elf->native) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "built for another processor than this host's");
    }
    if (elf->entry_kind == IL_ELF_ENTRY_NONE) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "no plugin: it does not export il_plugin_entry; define it "
                            "by IL_PLUGIN");
    }
    if (elf->entry_kind == IL_ELF_ENTRY_OTHER ||
        elf->entry_size < sizeof(il_plugin_prefix)) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "il_plugin_entry is no data of at least %zu bytes (a "
                            "function, perhaps): define it by IL_PLUGIN",
                            sizeof(il_plugin_prefix));
    }
    IL_TRY(il_image_judge_needs(elf, path, err));
    if (elf->search_path || elf->text_relocations || elf->executable_stack) {
        return il_error_set(
            err, IL_ERR_INPUT, path, "%s",
            elf->search_path        ? "it has an RPATH or RUNPATH: link without"
            : elf->text_relocations ? "it has text relocations: compile with -fPIC"
                                    : "it wants an executable stack: link with -Wl,-z,"
                                      "noexecstack");
    }
    return IL_OK;
}

il_status il_image_judge(il_image *out, const void *data, size_t size, const char *path,
                         bool stamped, il_error *err)
{
    il_status status;
    il_elf elf;

    memset(out, 0, sizeof *out);
    out->sealed = -1;
    il_hash_bytes(data, size, out->sha256);
    status = il_elf_read(&elf, data, size, path, err);
    if (status == IL_OK && elf.entry_kind == IL_ELF_ENTRY_OBJECT &&
        elf.entry_size >= sizeof out->prefix) {
        /* Whoever was built for another ABI is told that before anything else. */
        memcpy(&out->prefix, elf.entry, sizeof out->prefix);
        status = il_prefix_check(&out->prefix, path, err);
    }
    if (status == IL_OK && stamped && elf.manifest != NULL) {
        status = il_manifest_read(&out->manifest, elf.manifest, elf.manifest_size,
                                  &out->prefix, path, err);
    }
    if (status == IL_OK) {
        status = judge_elf(&elf, path, err);
    }
    if (status == IL_OK && stamped && elf.manifest == NULL) {
        status = il_error_set(err, IL_ERR_INPUT, path,
                              "has no manifest: interloop plugin stamp %s", path);
    }
    return status;
}

il_status il_image_read(il_image *out, const char *path, bool stamped, il_error *err)
{
    char *data = NULL;
    size_t size = 0;
    il_status status;

    memset(out, 0, sizeof *out);
    out->sealed = -1;
    IL_TRY(read_file(path, &data, &size, err));
    status = il_image_judge(out, data, size, path, stamped, err);
    if (status == IL_OK) {
        status = il_sealed_copy(data, size, path, &out->sealed, err);
    }
    free(data);
    return status;
}

void il_image_free(il_image *image)
{
    il_manifest_free(&image->manifest);
    if (image->sealed >= 0) {
        (void)close(image->sealed);
        image->sealed = -1;
    }
}

/* What a library may not change: how floats are rounded, and what becomes of
 * denormals. */
typedef struct float_state {
    int rounding;
    uint64_t control;
} float_state;

static float_state float_state_get(void)
{
    float_state s = {fegetround(), 0};

#if defined(__x86_64__)
    s.control = _mm_getcsr() & ~0x3fu; /* without the flags that arithmetic raises */
#elif defined(__aarch64__)
    s.control = __builtin_aarch64_get_fpcr();
#endif
    return s;
}

/* Loads the sealed copy and puts the floating-point environment back as it was. */
static il_status open_library(int sealed, const char *path, void **handle,
                              il_error *err)
{
    char copy[64];
    float_state before = float_state_get();
    float_state after;
    fenv_t saved;
    void *h;

    (void)fegetenv(&saved);
    (void)dlerror();
    (void)snprintf(copy, sizeof copy, "/proc/self/fd/%d", sealed);
    h = dlopen(copy, RTLD_NOW | RTLD_LOCAL);
    after = float_state_get();
    (void)fesetenv(&saved);
    if (h == NULL) {
        const char *why = dlerror();

        return il_error_set(err, IL_ERR_INPUT, path, "cannot load: %s",
                            why != NULL ? why : "no reason given");
    }
    if (before.rounding != after.rounding || before.control != after.control) {
        (void)dlclose(h);
        return il_error_set(err, IL_ERR_INPUT, path,
                            "loading it changes the floating-point environment (from "
                            "%llx to %llx): build it without -Ofast and -ffast-math",
                            (unsigned long long)before.control,
                            (unsigned long long)after.control);
    }
    *handle = h;
    return IL_OK;
}

il_status il_image_open(il_image *image, const char *path, void **handle,
                        const il_plugin **entry, il_error *err)
{
    const il_plugin *found;
    void *opened = NULL;

    if (image->sealed < 0) {
        return il_error_set(err, IL_ERR_INTERNAL, path, "is loaded already");
    }
    IL_TRY(open_library(image->sealed, path, &opened, err));
    found = dlsym(opened, "il_plugin_entry");
    if (found == NULL ||
        memcmp(&found->prefix, &image->prefix, sizeof image->prefix) != 0) {
        (void)dlclose(opened);
        return il_error_set(err, IL_ERR_INPUT, path,
                            "the loaded il_plugin_entry is not the one in the file");
    }
    /* The system's loader knows a library by its name, here the descriptor's number:
     * as long as the descriptor is open, nothing else can get that name. */
    image->sealed = -1;
    *handle = opened;
    *entry = found;
    return IL_OK;
}

il_status il_image_load(il_image *image, const char *path, const il_plugin **entry,
                        il_error *err)
{
    const il_plugin *found = NULL;
    void *handle = NULL;
    il_status status;

    IL_TRY(il_image_open(image, path, &handle, &found, err));
    status = il_entry_check(found, path, err);
    if (status == IL_OK && image->manifest.text != NULL) {
        status = il_manifest_agrees(image->manifest.text, found, path, err);
    }
    if (status != IL_OK) {
        (void)dlclose(handle);
        return status;
    }
    *entry = found;
    return IL_OK;
}
