/* Memory for large blocks that are gone through again and again. */
#ifndef IL_BASE_PAGES_H
#define IL_BASE_PAGES_H

#include <stddef.h>

/* `bytes` of memory aligned to 64 bytes, not cleared; NULL when memory is out. A large
 * block asks the system for huge pages, without which a training step spends a tenth of
 * its time looking up addresses. Goes back by free(). */
void *il_pages_alloc(size_t bytes);
/* The same, zeros. Where the system hands out zeros by itself, pages of a large block
 * take memory only once they are written to. */
void *il_pages_zeroed(size_t bytes);

#endif
