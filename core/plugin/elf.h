/* What a shared object says of itself, read from its bytes: nothing of it is mapped
 * or run.
 *
 * Understands 64-bit little-endian ELF for x86-64 and AArch64. Every offset is
 * checked against the file before it is followed, so any bytes may be given. What to
 * make of what was found is the loader's to say. */
#ifndef IL_PLUGIN_ELF_H
#define IL_PLUGIN_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "interloop/status.h"

enum { IL_ELF_NEEDED_MAX = 16 };

typedef enum il_elf_entry {
    IL_ELF_ENTRY_NONE,
    IL_ELF_ENTRY_OBJECT,
    IL_ELF_ENTRY_OTHER /* a function, or not defined with data */
} il_elf_entry;

/* Pointers go into the bytes that were given. */
typedef struct il_elf {
    const unsigned char *data;
    size_t size;
    bool native; /* for the machine that this host runs on */
    bool text_relocations;
    bool executable_stack;
    bool search_path;                      /* RPATH or RUNPATH */
    const char *needed[IL_ELF_NEEDED_MAX]; /* libraries that loading it would load */
    size_t needed_count;
    il_elf_entry entry_kind;
    const unsigned char *entry; /* of OBJECT; its first bytes in the file ... */
    size_t entry_size;          /* ... and how many there are */
    const char *manifest; /* the section `.interloop`, not NUL-terminated; or NULL */
    size_t manifest_size;
    const unsigned char *symbols;
    size_t symbol_count;
    const char *strings;
    size_t strings_size;
    const unsigned char *versions; /* two bytes a symbol, or NULL */
} il_elf;

/* Fills `out` from `size` bytes that outlive it. `where` names the file in messages. */
il_status il_elf_read(il_elf *out, const void *data, size_t size, const char *where,
                      il_error *err);
/* The next symbol that must be found elsewhere but was not found in a versioned
 * library, as libc and libm are, when the file was linked; NULL when there is no
 * more. *cursor starts at 0. */
const char *il_elf_undefined(const il_elf *elf, size_t *cursor);
/* The next symbol that it takes from elsewhere, and the next that it offers; NULL when
 * there is no more. *cursor starts at 0. */
const char *il_elf_imported(const il_elf *elf, size_t *cursor);
const char *il_elf_exported(const il_elf *elf, size_t *cursor);

#endif
