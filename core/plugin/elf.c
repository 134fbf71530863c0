/* Follows what the system's loader follows (program headers and the dynamic section);
 * the section headers serve only for what that has no use for: the number of symbols
 * and the manifest. */
#include "plugin/elf.h"

#include <elf.h>
#include <string.h>

#define ENTRY_NAME    "il_plugin_entry"
#define MANIFEST_NAME ".interloop"

/* A walk over one file: its headers, and what the dynamic section points to. */
typedef struct walk {
    il_elf *elf;
    const char *where;
    Elf64_Ehdr head;
    uint64_t dynamic, dynamic_size;
    uint64_t strings, strings_size;
    uint64_t symbols, versions;
    uint64_t needed[IL_ELF_NEEDED_MAX]; /* offsets among the strings */
    bool has_dynamic;
} walk;

/* `size` bytes of the file from `offset`, or NULL when it does not have them. */
static const unsigned char *bytes_at(const il_elf *elf, uint64_t offset, uint64_t size)
{
    if (offset > elf->size || size > elf->size - offset) {
        return NULL;
    }
    return elf->data + offset;
}

static bool copy_at(const il_elf *elf, uint64_t offset, void *out, size_t size)
{
    const unsigned char *from = bytes_at(elf, offset, size);

    if (from != NULL) {
        memcpy(out, from, size);
    }
    return from != NULL;
}

/* Record `index` of a table; its headers have at most 2^16 entries of fixed size. */
static bool record_at(const il_elf *elf, uint64_t table, size_t index, void *out,
                      size_t size)
{
    if (table > elf->size) {
        return false;
    }
    return copy_at(elf, table + (uint64_t)index * size, out, size);
}

/* The string at an offset of a table, or NULL when it does not end within it. */
static const char *string_in(const char *table, size_t size, uint64_t offset)
{
    if (table == NULL || offset >= size ||
        memchr(table + offset, '\0', size - (size_t)offset) == NULL) {
        return NULL;
    }
    return table + offset;
}

/* The file's bytes from a loaded address on: *room of them; NULL when there are
 * none. */
static const unsigned char *map(const walk *w, uint64_t address, size_t *room)
{
    Elf64_Phdr p;

    for (size_t i = 0; i < w->head.e_phnum; i++) {
        if (!record_at(w->elf, w->head.e_phoff, i, &p, sizeof p)) {
            return NULL;
        }
        if (p.p_type == PT_LOAD && address >= p.p_vaddr &&
            address - p.p_vaddr < p.p_filesz) {
            const unsigned char *from = bytes_at(w->elf, p.p_offset, p.p_filesz);
            uint64_t skip = address - p.p_vaddr;

            *room = (size_t)(p.p_filesz - skip);
            return from != NULL ? from + skip : NULL;
        }
    }
    return NULL;
}

static const unsigned char *map_size(const walk *w, uint64_t address, uint64_t size)
{
    size_t room = 0;
    const unsigned char *from = map(w, address, &room);

    return from != NULL && size <= room ? from : NULL;
}

static il_status broken(const walk *w, const char *what, il_error *err)
{
    return il_error_set(err, IL_ERR_INPUT, w->where,
                        "not a whole shared object: %s lies outside the file", what);
}

static il_status read_head(walk *w, il_error *err)
{
    Elf64_Ehdr *h = &w->head;

    if (w->elf->size < 4 || memcmp(w->elf->data, ELFMAG, SELFMAG) != 0) {
        return il_error_set(err, IL_ERR_INPUT, w->where,
                            "not a shared object: expected an ELF file");
    }
    if (!copy_at(w->elf, 0, h, sizeof *h)) {
        return broken(w, "its header", err);
    }
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB) {
        return il_error_set(err, IL_ERR_INPUT, w->where,
                            "expected a 64-bit little-endian file, found class %d and "
                            "byte order %d",
                            h->e_ident[EI_CLASS], h->e_ident[EI_DATA]);
    }
    if (h->e_type != ET_DYN) {
        return il_error_set(err, IL_ERR_INPUT, w->where,
                            "expected a shared object (ELF type 3), found type %d",
                            h->e_type);
    }
    if (h->e_machine != EM_X86_64 && h->e_machine != EM_AARCH64) {
        return il_error_set(err, IL_ERR_INPUT, w->where,
                            "expected code for x86-64 (62) or AArch64 (183), found "
                            "machine %d",
                            h->e_machine);
    }
    if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_shentsize != sizeof(Elf64_Shdr)) {
        return il_error_set(err, IL_ERR_INPUT, w->where,
                            "not a whole shared object: it has no program or section "
                            "headers of the usual size");
    }
#if defined(__aarch64__)
    w->elf->native = h->e_machine == EM_AARCH64;
#else
    w->elf->native = h->e_machine == EM_X86_64;
#endif
    return IL_OK;
}

static il_status read_segments(walk *w, il_error *err)
{
    Elf64_Phdr p;

    /* Where nothing is said, x86-64 takes the stack to be executable. */
    w->elf->executable_stack = w->head.e_machine == EM_X86_64;
    for (size_t i = 0; i < w->head.e_phnum; i++) {
        if (!record_at(w->elf, w->head.e_phoff, i, &p, sizeof p)) {
            return broken(w, "a program header", err);
        }
        if (p.p_type == PT_DYNAMIC) {
            w->has_dynamic = true;
            w->dynamic = p.p_offset;
            w->dynamic_size = p.p_filesz;
        } else if (p.p_type == PT_GNU_STACK) {
            w->elf->executable_stack = (p.p_flags & PF_X) != 0;
        } else if (p.p_type == PT_LOAD &&
                   bytes_at(w->elf, p.p_offset, p.p_filesz) == NULL) {
            return broken(w, "a segment", err);
        }
    }
    if (!w->has_dynamic || bytes_at(w->elf, w->dynamic, w->dynamic_size) == NULL) {
        return broken(w, "its dynamic section", err);
    }
    return IL_OK;
}

static il_status note_dynamic(walk *w, const Elf64_Dyn *d, il_error *err)
{
    switch (d->d_tag) {
    case DT_NEEDED:
    case DT_FILTER: /* these load a library as well */
    case DT_AUXILIARY:
    case DT_AUDIT:
    case DT_DEPAUDIT:
        if (w->elf->needed_count == IL_ELF_NEEDED_MAX) {
            return il_error_set(err, IL_ERR_INPUT, w->where,
                                "needs more than %d libraries, expected libc and libm",
                                IL_ELF_NEEDED_MAX);
        }
        w->needed[w->elf->needed_count++] = d->d_un.d_val;
        break;
    case DT_STRTAB:
        w->strings = d->d_un.d_ptr;
        break;
    case DT_STRSZ:
        w->strings_size = d->d_un.d_val;
        break;
    case DT_SYMTAB:
        w->symbols = d->d_un.d_ptr;
        break;
    case DT_VERSYM:
        w->versions = d->d_un.d_ptr;
        break;
    case DT_TEXTREL:
        w->elf->text_relocations = true;
        break;
    case DT_FLAGS:
        w->elf->text_relocations |= (d->d_un.d_val & DF_TEXTREL) != 0;
        break;
    case DT_RPATH:
    case DT_RUNPATH:
        w->elf->search_path = true;
        break;
    default:
        break;
    }
    return IL_OK;
}

static il_status read_dynamic(walk *w, il_error *err)
{
    Elf64_Dyn d;

    for (uint64_t at = 0; w->dynamic_size - at >= sizeof d; at += sizeof d) {
        (void)copy_at(w->elf, w->dynamic + at, &d, sizeof d); /* checked as a whole */
        if (d.d_tag == DT_NULL) {
            break;
        }
        IL_TRY(note_dynamic(w, &d, err));
    }
    w->elf->strings = (const char *)map_size(w, w->strings, w->strings_size);
    w->elf->strings_size = (size_t)w->strings_size;
    if (w->elf->strings == NULL) {
        return broken(w, "the table of dynamic strings", err);
    }
    for (size_t i = 0; i < w->elf->needed_count; i++) {
        w->elf->needed[i] =
            string_in(w->elf->strings, w->elf->strings_size, w->needed[i]);
        if (w->elf->needed[i] == NULL) {
            return broken(w, "the name of a library", err);
        }
    }
    return IL_OK;
}

static il_status read_symbols(walk *w, const Elf64_Shdr *s, il_error *err)
{
    uint64_t count = s->sh_size / sizeof(Elf64_Sym);

    if (s->sh_addr != w->symbols) {
        return il_error_set(err, IL_ERR_INPUT, w->where,
                            "its headers disagree on where the symbols are");
    }
    w->elf->symbols = map_size(w, w->symbols, count * sizeof(Elf64_Sym));
    if (w->elf->symbols == NULL) {
        return broken(w, "the table of dynamic symbols", err);
    }
    w->elf->symbol_count = (size_t)count;
    if (w->versions != 0) {
        w->elf->versions = map_size(w, w->versions, count * 2);
        if (w->elf->versions == NULL) {
            return broken(w, "the table of symbol versions", err);
        }
    }
    return IL_OK;
}

static il_status read_sections(walk *w, il_error *err)
{
    const char *names;
    Elf64_Shdr s;

    if (w->head.e_shstrndx >= w->head.e_shnum ||
        !record_at(w->elf, w->head.e_shoff, w->head.e_shstrndx, &s, sizeof s)) {
        return broken(w, "the section of section names", err);
    }
    names = (const char *)bytes_at(w->elf, s.sh_offset, s.sh_size);
    if (names == NULL) {
        return broken(w, "the section of section names", err);
    }
    for (size_t i = 0, size = (size_t)s.sh_size; i < w->head.e_shnum; i++) {
        const char *name;

        if (!record_at(w->elf, w->head.e_shoff, i, &s, sizeof s)) {
            return broken(w, "a section header", err);
        }
        name = string_in(names, size, s.sh_name);
        if (s.sh_type == SHT_DYNSYM) {
            IL_TRY(read_symbols(w, &s, err));
        } else if (name != NULL && strcmp(name, MANIFEST_NAME) == 0 &&
                   s.sh_type == SHT_PROGBITS && (s.sh_flags & SHF_ALLOC) == 0) {
            w->elf->manifest = (const char *)bytes_at(w->elf, s.sh_offset, s.sh_size);
            if (w->elf->manifest == NULL) {
                return broken(w, "the manifest", err);
            }
            w->elf->manifest_size = (size_t)s.sh_size;
        }
    }
    return w->elf->symbols != NULL ? IL_OK : broken(w, "the dynamic symbols", err);
}

static void symbol_at(const il_elf *elf, size_t i, Elf64_Sym *s)
{
    memcpy(s, elf->symbols + i * sizeof *s, sizeof *s);
}

static void find_entry(walk *w)
{
    Elf64_Sym s;

    for (size_t i = 1; i < w->elf->symbol_count; i++) {
        const char *name;

        symbol_at(w->elf, i, &s);
        name = string_in(w->elf->strings, w->elf->strings_size, s.st_name);
        if (name == NULL || strcmp(name, ENTRY_NAME) != 0 || s.st_shndx == SHN_UNDEF) {
            continue;
        }
        w->elf->entry_kind = IL_ELF_ENTRY_OTHER;
        if (ELF64_ST_TYPE(s.st_info) == STT_OBJECT) {
            w->elf->entry = map(w, s.st_value, &w->elf->entry_size);
            if (w->elf->entry != NULL) {
                w->elf->entry_kind = IL_ELF_ENTRY_OBJECT;
                if (w->elf->entry_size > s.st_size) {
                    w->elf->entry_size = (size_t)s.st_size;
                }
            }
        }
        return;
    }
}

il_status il_elf_read(il_elf *out, const void *data, size_t size, const char *where,
                      il_error *err)
{
    walk w = {.elf = out, .where = where};

    memset(out, 0, sizeof *out);
    out->data = data;
    out->size = size;
    IL_TRY(read_head(&w, err));
    IL_TRY(read_segments(&w, err));
    IL_TRY(read_dynamic(&w, err));
    IL_TRY(read_sections(&w, err));
    find_entry(&w);
    return IL_OK;
}

const char *il_elf_undefined(const il_elf *elf, size_t *cursor)
{
    for (size_t i = *cursor > 0 ? *cursor : 1; i < elf->symbol_count; i++) {
        const char *name;
        unsigned version = 0;
        Elf64_Sym s;

        symbol_at(elf, i, &s);
        if (elf->versions != NULL) {
            version = (elf->versions[2 * i] | elf->versions[2 * i + 1] << 8) & 0x7fff;
        }
        /* Versions 0 and 1 say "none"; a weak symbol may stay without a definition. */
        if (s.st_shndx != SHN_UNDEF || ELF64_ST_BIND(s.st_info) == STB_WEAK ||
            version > VER_NDX_GLOBAL) {
            continue;
        }
        *cursor = i + 1;
        name = string_in(elf->strings, elf->strings_size, s.st_name);
        return name != NULL ? name : "a symbol without a name";
    }
    *cursor = elf->symbol_count;
    return NULL;
}

/* The next symbol that is, or is not, defined here and seen from outside. */
static const char *next_symbol(const il_elf *elf, size_t *cursor, bool defined)
{
    for (size_t i = *cursor > 0 ? *cursor : 1; i < elf->symbol_count; i++) {
        const char *name;
        Elf64_Sym s;

        symbol_at(elf, i, &s);
        name = string_in(elf->strings, elf->strings_size, s.st_name);
        if ((s.st_shndx != SHN_UNDEF) != defined || name == NULL || name[0] == '\0' ||
            ELF64_ST_BIND(s.st_info) == STB_LOCAL ||
            ELF64_ST_TYPE(s.st_info) == STT_SECTION) {
            continue;
        }
        *cursor = i + 1;
        return name;
    }
    *cursor = elf->symbol_count;
    return NULL;
}

const char *il_elf_imported(const il_elf *elf, size_t *cursor)
{
    return next_symbol(elf, cursor, false);
}

const char *il_elf_exported(const il_elf *elf, size_t *cursor)
{
    return next_symbol(elf, cursor, true);
}
