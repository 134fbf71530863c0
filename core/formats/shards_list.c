/* Which files of a folder are shards, by their names. */
#include "formats/shards_private.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/files.h"

enum { PATTERNS_MAX = 32 };

static const char shard_mark[] = "{shard}";
static const char name_mark[] = "{name}";

static il_status no_memory(const char *where, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
}

bool il__shards_ends(const char *text, const char *end)
{
    size_t n = strlen(text);
    size_t m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

/* ---- patterns ------------------------------------------------------------------- */

/* A part of a text. */
typedef struct part {
    const char *at;
    size_t size;
} part;

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Whether a name fits a pattern, each mark standing for the shortest text that lets the
 * rest fit. */
static bool fits(const char *pattern, const char *text, bool digits, part *shard,
                 part *name)
{
    for (; *pattern != '\0'; pattern++, text++) {
        bool is_shard = begins(pattern, shard_mark);

        if (is_shard || begins(pattern, name_mark)) {
            part *to = is_shard ? shard : name;
            const char *rest = pattern + strlen(is_shard ? shard_mark : name_mark);

            for (size_t n = 1; text[n - 1] != '\0'; n++) {
                if (is_shard && digits && !isdigit((unsigned char)text[n - 1])) {
                    return false;
                }
                *to = (part){text, n};
                if (fits(rest, text + n, digits, shard, name)) {
                    return true;
                }
            }
            return false;
        }
        if (*pattern != *text) {
            return false;
        }
    }
    return *text == '\0';
}

typedef struct patterns {
    const char *items[PATTERNS_MAX];
    bool digits[PATTERNS_MAX]; /* {shard} is digits */
    size_t count;
} patterns;

static bool twice(const char *text, const char *mark)
{
    const char *at = strstr(text, mark);

    return at != NULL && strstr(at + 1, mark) != NULL;
}

static il_status add_pattern(patterns *p, const char *text, il_error *err)
{
    bool named = strstr(text, name_mark) != NULL;
    bool npy = il__shards_ends(text, ".npy");

    if ((!npy && !il__shards_ends(text, ".safetensors")) || strchr(text, '/') != NULL ||
        twice(text, shard_mark) || twice(text, name_mark) || (named && !npy)) {
        return il_error_set(err, IL_ERR_INPUT, "files",
                            "expected a name that ends in .safetensors or .npy, with "
                            "{shard} at most once, and {name}, for .npy, at most once, "
                            "got '%.80s'",
                            text);
    }
    if (p->count == PATTERNS_MAX) {
        return il_error_set(err, IL_ERR_INPUT, "files", "expected at most %d patterns",
                            PATTERNS_MAX);
    }
    p->digits[p->count] = named;
    p->items[p->count++] = text;
    return IL_OK;
}

static il_status read_patterns(patterns *p, il_arena *arena, const char *naming,
                               il_error *err)
{
    while (*naming != '\0') {
        size_t n = strcspn(naming, ",");
        size_t from = strspn(naming, " ");
        size_t to = n;
        char *text;

        while (to > from && naming[to - 1] == ' ') {
            to--;
        }
        if (to > from) {
            text = il_arena_printf(arena, "%.*s", (int)(to - from), naming + from);
            if (text == NULL) {
                return no_memory("files", err);
            }
            IL_TRY(add_pattern(p, text, err));
        }
        naming += n + (naming[n] == ',');
    }
    return IL_OK;
}

/* A column's name from that of its pattern, which has no {name}: without {shard} and
 * the marks that joined it. */
static const char *column_of(il_arena *arena, const char *pattern)
{
    static const char joints[] = "._- ";
    char *text = il_arena_strdup(arena, pattern);
    char *mark = text != NULL ? strstr(text, shard_mark) : NULL;
    char *end;

    if (text == NULL) {
        return NULL;
    }
    text[strlen(text) - strlen(".npy")] = '\0';
    if (mark != NULL) {
        memmove(mark, mark + strlen(shard_mark), strlen(mark + strlen(shard_mark)) + 1);
    }
    text += strspn(text, joints);
    end = text + strlen(text);
    while (end > text && strchr(joints, end[-1]) != NULL) {
        *--end = '\0';
    }
    return *text != '\0' ? text : "acts";
}

/* ---- the folder ----------------------------------------------------------------- */

/* Names, each beside the others. */
typedef struct listing {
    il_arena *arena;
    const char **names;
    size_t count, room;
    const char *path;
} listing;

static il_status note_name(void *user, const char *name, il_error *err)
{
    listing *l = user;

    if (!il__shards_ends(name, ".npy") && !il__shards_ends(name, ".safetensors")) {
        return IL_OK;
    }
    if (l->count == l->room) {
        size_t room = l->room == 0 ? 256 : 2 * l->room;
        const char **names = il_arena_calloc(l->arena, room, sizeof *names);

        if (names == NULL) {
            return no_memory(l->path, err);
        }
        if (l->count > 0) {
            memcpy(names, l->names, l->count * sizeof *names);
        }
        l->names = names;
        l->room = room;
    }
    l->names[l->count] = il_arena_strdup(l->arena, name);
    return l->names[l->count++] != NULL ? IL_OK : no_memory(l->path, err);
}

/* The pattern of a folder about which nothing was said. */
static const char *default_pattern(const listing *l)
{
    bool numbered = false;
    part a;
    part b;

    for (size_t i = 0; i < l->count; i++) {
        if (il__shards_ends(l->names[i], ".safetensors")) {
            return "{shard}.safetensors";
        }
        numbered = numbered || fits("{shard}.{name}.npy", l->names[i], true, &a, &b);
    }
    return numbered ? "{shard}.{name}.npy" : "{name}.npy";
}

/* Texts in the order in which people count: runs of digits by their value. */
static int natural(const char *a, const char *b)
{
    while (*a != '\0' && *b != '\0') {
        size_t n;
        size_t m;
        int order;

        if (!isdigit((unsigned char)*a) || !isdigit((unsigned char)*b)) {
            if (*a != *b) {
                return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
            }
            a++;
            b++;
            continue;
        }
        a += strspn(a, "0");
        b += strspn(b, "0");
        n = strspn(a, "0123456789");
        m = strspn(b, "0123456789");
        if (n != m) {
            return n < m ? -1 : 1;
        }
        order = memcmp(a, b, n);
        if (order != 0) {
            return order;
        }
        a += n;
        b += n;
    }
    return (*a != '\0') - (*b != '\0');
}

/* Of safetensors files each is a shard, those of a pattern behind the other's; .npy
 * files of one shard may fit several. */
static int shard_compare(const il__shards_file *x, const il__shards_file *y)
{
    int order;

    if (x->column == NULL && y->column == NULL && x->pattern != y->pattern) {
        return x->pattern < y->pattern ? -1 : 1;
    }
    order = natural(x->shard, y->shard);
    return order != 0 ? order : strcmp(x->shard, y->shard);
}

static int file_compare(const void *a, const void *b)
{
    const il__shards_file *x = a;
    const il__shards_file *y = b;
    int order = shard_compare(x, y);

    if (order == 0 && x->column != NULL && y->column != NULL) {
        order = strcmp(x->column, y->column);
    }
    return order != 0 ? order : strcmp(x->path, y->path);
}

static il_status take_file(il__shards_list *out, il_arena *arena, const char *folder,
                           const char *name, const patterns *p, il_error *err)
{
    for (size_t i = 0; i < p->count; i++) {
        il__shards_file f = {.pattern = i};
        part shard = {"", 0};
        part column = {NULL, 0};

        if (!fits(p->items[i], name, p->digits[i], &shard, &column)) {
            continue;
        }
        if (out->count == IL__SHARDS_FILES_MAX) {
            return il_error_set(err, IL_ERR_INPUT, folder,
                                "expected at most %d files of shards",
                                IL__SHARDS_FILES_MAX);
        }
        f.path = il_arena_printf(arena, "%s/%s", folder, name);
        f.shard = il_arena_printf(arena, "%.*s", (int)shard.size, shard.at);
        if (column.at != NULL) {
            f.column = il_arena_printf(arena, "%.*s", (int)column.size, column.at);
        } else if (il__shards_ends(name, ".npy")) {
            f.column = column_of(arena, p->items[i]);
        }
        if (f.path == NULL || f.shard == NULL ||
            (f.column == NULL && il__shards_ends(name, ".npy"))) {
            return no_memory(folder, err);
        }
        out->files[out->count++] = f;
        return IL_OK;
    }
    return IL_OK;
}

/* Where each shard's files begin; of no column two. */
static il_status part_shards(il__shards_list *out, il_arena *arena, const char *where,
                             il_error *err)
{
    out->first = il_arena_calloc(arena, out->count + 1, sizeof *out->first);
    if (out->first == NULL) {
        return no_memory(where, err);
    }
    qsort(out->files, out->count, sizeof *out->files, file_compare);
    for (size_t i = 0; i < out->count; i++) {
        const il__shards_file *f = &out->files[i];
        const il__shards_file *before = i > 0 ? f - 1 : NULL;

        if ((before != NULL && (before->column == NULL) != (f->column == NULL))) {
            return il_error_set(err, IL_ERR_INPUT, f->path,
                                "expected shards of one kind, .safetensors or .npy, "
                                "got both: say which by `files`");
        }
        if (before != NULL && f->column != NULL && shard_compare(before, f) == 0) {
            if (strcmp(before->column, f->column) == 0) {
                return il_error_set(err, IL_ERR_INPUT, f->path,
                                    "column '%.80s' is there already, in %s", f->column,
                                    before->path);
            }
            continue; /* of the same shard */
        }
        out->first[out->shards++] = i;
    }
    out->first[out->shards] = out->count;
    return IL_OK;
}

static il_status list_folder(il__shards_list *out, il_arena *arena, const char *path,
                             const char *naming, il_error *err)
{
    listing l = {.arena = arena, .path = path};
    patterns p = {.count = 0};

    IL_TRY(read_patterns(&p, arena, naming, err));
    IL_TRY(il_folder_list(path, note_name, &l, err));
    if (p.count == 0) {
        IL_TRY(add_pattern(&p, default_pattern(&l), err));
    }
    out->files = il_arena_calloc(arena, l.count + 1, sizeof *out->files);
    if (out->files == NULL) {
        return no_memory(path, err);
    }
    for (size_t i = 0; i < l.count; i++) {
        IL_TRY(take_file(out, arena, path, l.names[i], &p, err));
    }
    if (out->count == 0) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "expected shards: of %zu .safetensors and .npy files none "
                            "is called like '%s'",
                            l.count, p.items[0]);
    }
    return part_shards(out, arena, path, err);
}

il_status il__shards_list_make(il__shards_list *out, il_arena *arena, const char *path,
                               const char *naming, il_error *err)
{
    struct stat s;
    const char *base = strrchr(path, '/');
    const char *name = base != NULL ? base + 1 : path;
    bool npy = il__shards_ends(name, ".npy");
    il__shards_file *f;

    memset(out, 0, sizeof *out);
    naming = naming != NULL ? naming : "";
    if (stat(path, &s) == 0 && S_ISDIR(s.st_mode)) {
        return list_folder(out, arena, path, naming, err);
    }
    if (!npy && !il__shards_ends(name, ".safetensors")) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "expected a folder of shards, or a file that ends in "
                            ".safetensors or .npy");
    }
    out->files = f = il_arena_calloc(arena, 1, sizeof *f);
    if (f == NULL) {
        return no_memory(path, err);
    }
    f->path = il_arena_strdup(arena, path);
    f->shard = "";
    f->column =
        npy ? il_arena_printf(arena, "%.*s", (int)(strlen(name) - 4), name) : NULL;
    if (f->path == NULL || (npy && f->column == NULL)) {
        return no_memory(path, err);
    }
    out->count = 1;
    return part_shards(out, arena, path, err);
}
