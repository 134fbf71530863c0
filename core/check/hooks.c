#define _GNU_SOURCE /* dlinfo */
#include "check/hooks.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What stands in for malloc gets no context, so this cannot be but static; it lives in
 * a process that runs one test and ends. */
enum { SLOTS = 1 << 20 };
static struct {
    void **slots; /* an open-addressed set; SLOTS entries */
    int64_t live;
    int64_t calls;
    int64_t fail_at;
} seen;

static void *const gone = (void *)&seen; /* a slot whose piece was given back */

static size_t slot_of(const void *p)
{
    return (size_t)(((uintptr_t)p >> 4) * 0x9e3779b97f4a7c15u >> 20) & (SLOTS - 1);
}

static void *remember(void *p)
{
    if (p != NULL && seen.live < SLOTS / 2) {
        size_t at = slot_of(p);

        while (seen.slots[at] != NULL && seen.slots[at] != gone) {
            at = (at + 1) & (SLOTS - 1);
        }
        seen.slots[at] = p;
        seen.live++;
    }
    return p;
}

static void forget(const void *p)
{
    size_t at = slot_of(p);

    for (size_t k = 0; k < SLOTS && seen.slots[at] != NULL; k++) {
        if (seen.slots[at] == p) {
            seen.slots[at] = gone;
            seen.live--;
            return;
        }
        at = (at + 1) & (SLOTS - 1);
    }
}

static bool starved(void)
{
    bool now = ++seen.calls == seen.fail_at;

    if (now) {
        errno = ENOMEM;
    }
    return now;
}

static void *my_malloc(size_t size)
{
    return starved() ? NULL : remember(malloc(size));
}

static void *my_calloc(size_t count, size_t size)
{
    return starved() ? NULL : remember(calloc(count, size));
}

static void *my_realloc(void *p, size_t size)
{
    void *to;

    if (starved()) {
        return NULL;
    }
    if (p != NULL) {
        forget(p);
    }
    to = realloc(p, size);
    if (to == NULL && size > 0) {
        (void)remember(p);
    }
    return remember(to);
}

static void my_free(void *p)
{
    if (p != NULL) {
        forget(p);
    }
    free(p);
}

static void *my_aligned_alloc(size_t align, size_t size)
{
    return starved() ? NULL : remember(aligned_alloc(align, size));
}

static int my_posix_memalign(void **out, size_t align, size_t size)
{
    int failed = starved() ? ENOMEM : posix_memalign(out, align, size);

    if (failed == 0) {
        (void)remember(*out);
    }
    return failed;
}

static char *my_strdup(const char *text)
{
    return starved() ? NULL : remember(strdup(text));
}

static char *my_strndup(const char *text, size_t size)
{
    return starved() ? NULL : remember(strndup(text, size));
}

/* A function's address as data, which POSIX lets be the same. */
typedef union address {
    void (*function)(void);
    uintptr_t value;
} address;

#define STAND_IN(name)                                                                 \
    {                                                                                  \
#name,                                                                         \
        {                                                                              \
            .function = (void (*)(void))my_##name                                      \
        }                                                                              \
    }
static const struct {
    const char *name;
    address to;
} stand_ins[] = {
    STAND_IN(malloc), STAND_IN(calloc),        STAND_IN(realloc),
    STAND_IN(free),   STAND_IN(aligned_alloc), STAND_IN(posix_memalign),
    STAND_IN(strdup), STAND_IN(strndup),
};

/* The dynamic section of a loaded file, its addresses already where they are. */
typedef struct loaded {
    uintptr_t base;
    const Elf64_Sym *symbols;
    const char *strings;
    const Elf64_Rela *lists[2];
    size_t sizes[2]; /* bytes */
} loaded;

static void read_dynamic(const struct link_map *map, loaded *l)
{
    memset(l, 0, sizeof *l);
    l->base = map->l_addr;
    for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
        switch (d->d_tag) {
        case DT_SYMTAB:
            l->symbols = (const Elf64_Sym *)d->d_un.d_ptr;
            break;
        case DT_STRTAB:
            l->strings = (const char *)d->d_un.d_ptr;
            break;
        case DT_JMPREL:
            l->lists[0] = (const Elf64_Rela *)d->d_un.d_ptr;
            break;
        case DT_PLTRELSZ:
            l->sizes[0] = d->d_un.d_val;
            break;
        case DT_RELA:
            l->lists[1] = (const Elf64_Rela *)d->d_un.d_ptr;
            break;
        case DT_RELASZ:
            l->sizes[1] = d->d_un.d_val;
            break;
        default:
            break;
        }
    }
}

/* Whether a relocation stores a symbol's plain address. */
static bool is_address(uint64_t type)
{
#if defined(__x86_64__)
    return type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT ||
           type == R_X86_64_64;
#elif defined(__aarch64__)
    return type == R_AARCH64_JUMP_SLOT || type == R_AARCH64_GLOB_DAT ||
           type == R_AARCH64_ABS64;
#else
    (void)type;
    return false;
#endif
}

static il_status point_elsewhere(const loaded *l, const Elf64_Rela *r, il_error *err)
{
    const char *name = l->strings + l->symbols[ELF64_R_SYM(r->r_info)].st_name;

    for (size_t i = 0; i < sizeof stand_ins / sizeof stand_ins[0]; i++) {
        uintptr_t at = l->base + r->r_offset;
        uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

        if (strcmp(name, stand_ins[i].name) != 0) {
            continue;
        }
        /* Left writable: whoever linked with full RELRO has its data here too. */
        if (mprotect((void *)(at / page * page), page, PROT_READ | PROT_WRITE) != 0) {
            return il_error_set(err, IL_ERR_IO, "", "cannot watch its calls of %s: %s",
                                name, strerror(errno));
        }
        *(uintptr_t *)at = stand_ins[i].to.value;
    }
    return IL_OK;
}

il_status il_hooks_install(void *handle, il_error *err)
{
    struct link_map *map = NULL;
    loaded l;

    seen.slots = calloc(SLOTS, sizeof *seen.slots);
    if (seen.slots == NULL || dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0) {
        return il_error_set(err, IL_ERR_MEMORY, "", "cannot look at the loaded file");
    }
    read_dynamic(map, &l);
    for (size_t k = 0; k < 2 && l.symbols != NULL && l.strings != NULL; k++) {
        for (size_t i = 0; l.lists[k] != NULL && i < l.sizes[k] / sizeof(Elf64_Rela);
             i++) {
            if (is_address(ELF64_R_TYPE(l.lists[k][i].r_info))) {
                IL_TRY(point_elsewhere(&l, &l.lists[k][i], err));
            }
        }
    }
    return IL_OK;
}

int64_t il_hooks_live(void)
{
    return seen.live;
}

void il_hooks_fail(int64_t n)
{
    seen.calls = 0;
    seen.fail_at = n;
}

int64_t il_hooks_calls(void)
{
    return seen.calls;
}
