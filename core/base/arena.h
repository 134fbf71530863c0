/* Arenas: memory that is handed out piece by piece and given back all at once.
 *
 * A pass, a parsed file and a plan each live in one. An arena grows by chunks and keeps
 * them across a reset, so that a loop that repeats the same work calls malloc in its
 * first round only. One arena belongs to one thread at a time. */
#ifndef IL_BASE_ARENA_H
#define IL_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

typedef struct il_arena il_arena;
typedef struct il_arena_mark {
    void *chunk;
    size_t used;
} il_arena_mark;

/* A new arena whose chunks hold at least `chunk_bytes`; NULL when memory is out. */
il_arena *il_arena_create(size_t chunk_bytes);
void il_arena_destroy(il_arena *a); /* takes NULL */

/* `bytes` of memory aligned to 64 bytes, not cleared; NULL when memory is out. */
void *il_arena_alloc(il_arena *a, size_t bytes);
/* The same for an array, cleared, with a checked product. */
void *il_arena_calloc(il_arena *a, size_t count, size_t size);
char *il_arena_strdup(il_arena *a, const char *text);
char *il_arena_printf(il_arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Everything handed out since the mark is given back; chunks are kept for what comes
 * next. */
il_arena_mark il_arena_save(const il_arena *a);
void il_arena_restore(il_arena *a, il_arena_mark mark);
void il_arena_reset(il_arena *a);

/* The most bytes that were in use at once since the arena was made. */
size_t il_arena_peak(const il_arena *a);

#endif
