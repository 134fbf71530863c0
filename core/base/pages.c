/* POSIX has no such advice on pages; the C library shows Linux's when asked. */
#define _DEFAULT_SOURCE

#include "base/pages.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { LINE = 64, HUGE_PAGE = 2 << 20 };

void *il_pages_alloc(size_t bytes)
{
    /* A last page that is needed by more than half is taken whole. */
    size_t huge = bytes >= HUGE_PAGE
                      ? bytes / HUGE_PAGE + (bytes % HUGE_PAGE > HUGE_PAGE / 2)
                      : 0;
    size_t room = huge * HUGE_PAGE > bytes ? huge * HUGE_PAGE : bytes;
    void *block = NULL;

    if (posix_memalign(&block, huge > 0 ? HUGE_PAGE : LINE, room > 0 ? room : LINE) !=
        0) {
        return NULL;
    }
#ifdef MADV_HUGEPAGE
    if (huge > 0) { /* where it is refused, the block is slower and no worse */
        (void)madvise(block, huge * HUGE_PAGE, MADV_HUGEPAGE);
    }
#endif
    return block;
}

void *il_pages_zeroed(size_t bytes)
{
    char *block = il_pages_alloc(bytes);
    size_t cleared = 0;

#ifdef __linux__
    /* There, and only there, private pages that were given back read as zeros. */
    if (block != NULL && bytes >= HUGE_PAGE) {
        const size_t whole = bytes / HUGE_PAGE * HUGE_PAGE;

        cleared = madvise(block, whole, MADV_DONTNEED) == 0 ? whole : 0;
    }
#endif
    if (block != NULL) {
        memset(block + cleared, 0, bytes - cleared);
    }
    return block;
}
