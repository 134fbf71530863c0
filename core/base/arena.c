/* Chunks in a list, in the order in which they are filled. A reset or restore goes back
 * in the list and keeps what lies beyond, so that the same work done again finds the
 * same chunks. */
#include "base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/compiler.h"
#include "base/pages.h"

enum { ALIGN = 64 };

typedef struct chunk {
    struct chunk *next;
    size_t room;  /* bytes after this header */
    size_t used;  /* of room; a multiple of ALIGN */
    size_t below; /* bytes in use in the chunks before this one */
} chunk;

struct il_arena {
    chunk *first;
    chunk *now; /* the chunk that is being filled; NULL before the first */
    size_t chunk_bytes;
    size_t peak;
};

/* The header is padded so that the bytes after it are aligned as the chunk is. */
enum { HEADER = (sizeof(chunk) + ALIGN - 1) / ALIGN * ALIGN };

static char *chunk_bytes(chunk *c)
{
    return (char *)c + HEADER;
}

il_arena *il_arena_create(size_t chunk_bytes)
{
    il_arena *a = calloc(1, sizeof *a);

    if (a != NULL) {
        a->chunk_bytes = chunk_bytes < ALIGN ? ALIGN : chunk_bytes;
    }
    return a;
}

void il_arena_destroy(il_arena *a)
{
    if (a == NULL) {
        return;
    }
    for (chunk *c = a->first; c != NULL;) {
        chunk *next = c->next;

        free(c);
        c = next;
    }
    free(a);
}

/* The next chunk with room for `bytes`: the one kept from an earlier round when it is
 * large enough, else a new one in its place, before it in the list. */
static chunk *chunk_next(il_arena *a, size_t bytes)
{
    chunk *kept = a->now != NULL ? a->now->next : a->first;
    chunk *c = kept;

    if (kept == NULL || kept->room < bytes) {
        size_t room = bytes > a->chunk_bytes ? bytes : a->chunk_bytes;
        size_t total;

        if (!il_add_size(room, HEADER + ALIGN - 1, &total)) {
            return NULL;
        }
        total = total / ALIGN * ALIGN;
        c = il_pages_alloc(total);
        if (c == NULL) {
            return NULL;
        }
        c->room = total - HEADER;
        IL_POISON(chunk_bytes(c), c->room);
        c->next = kept;
        if (a->now != NULL) {
            a->now->next = c;
        } else {
            a->first = c;
        }
    }
    c->used = 0;
    c->below = a->now != NULL ? a->now->below + a->now->used : 0;
    a->now = c;
    return c;
}

void *il_arena_alloc(il_arena *a, size_t bytes)
{
    chunk *c = a->now;
    size_t padded;
    void *p;

    if (!il_add_size(bytes, ALIGN - 1, &padded)) {
        return NULL;
    }
    padded = padded / ALIGN * ALIGN;
    if (padded == 0) {
        padded = ALIGN; /* two empty allocations still have two addresses */
    }
    if (c == NULL || c->room - c->used < padded) {
        c = chunk_next(a, padded);
        if (c == NULL) {
            return NULL;
        }
    }
    p = chunk_bytes(c) + c->used;
    IL_UNPOISON(p, bytes);
    c->used += padded;
    if (c->below + c->used > a->peak) {
        a->peak = c->below + c->used;
    }
    return p;
}

void *il_arena_calloc(il_arena *a, size_t count, size_t size)
{
    size_t bytes;
    void *p;

    if (!il_mul_size(count, size, &bytes)) {
        return NULL;
    }
    p = il_arena_alloc(a, bytes);
    if (p != NULL) {
        memset(p, 0, bytes);
    }
    return p;
}

char *il_arena_strdup(il_arena *a, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *p = il_arena_alloc(a, bytes);

    return p != NULL ? memcpy(p, text, bytes) : NULL;
}

char *il_arena_printf(il_arena *a, const char *fmt, ...)
{
    va_list args;
    va_list again;
    char *p = NULL;
    int size;

    va_start(args, fmt);
    va_copy(again, args);
    size = vsnprintf(NULL, 0, fmt, args);
    if (size >= 0) {
        p = il_arena_alloc(a, (size_t)size + 1);
    }
    if (p != NULL) {
        (void)vsnprintf(p, (size_t)size + 1, fmt, again);
    }
    va_end(again);
    va_end(args);
    return p;
}

il_arena_mark il_arena_save(const il_arena *a)
{
    il_arena_mark mark = {a->now, a->now != NULL ? a->now->used : 0};

    return mark;
}

void il_arena_restore(il_arena *a, il_arena_mark mark)
{
    chunk *c = mark.chunk;

    a->now = c;
    if (c != NULL) {
        assert(mark.used <= c->used);
        c->used = mark.used;
        IL_POISON(chunk_bytes(c) + c->used, c->room - c->used);
    }
    if (IL_POISONS) {
        for (c = c != NULL ? c->next : a->first; c != NULL; c = c->next) {
            IL_POISON(chunk_bytes(c), c->room);
        }
    }
}

void il_arena_reset(il_arena *a)
{
    il_arena_restore(a, (il_arena_mark){NULL, 0});
}

size_t il_arena_peak(const il_arena *a)
{
    return a->peak;
}
