/* What a run tells while it goes on: one line that is rewritten on a terminal, a line
 * now and then in a pipe, or an object of JSON a line on standard output. */
#ifndef IL_TOOLS_TELLER_H
#define IL_TOOLS_TELLER_H

#include "loop/run.h"

typedef struct il_teller {
    bool quiet;    /* warnings and errors alone */
    bool json;     /* all of it on standard output, as JSON */
    bool terminal; /* standard error is one */
    double last;   /* when a plain line was printed, in seconds */
} il_teller;

void il_teller_open(il_teller *t, bool quiet, bool json);
/* A log that goes by it; NULL when memory is out. The teller outlives it. */
il_log *il_teller_log(il_teller *t);
/* An il_progress_fn; `user` is the teller. */
void il_teller_progress(void *user, const il_progress *p);
/* The last line of JSON: how a run ended, and where it lies (NULL: nowhere). */
void il_teller_end(const il_teller *t, int code, const char *folder);

#endif
