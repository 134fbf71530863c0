/* What a stranger may have written, a bundle's summary or a name in a broken file, goes to
 * a terminal without the bytes that would command it. */
#ifndef IL_TOOLS_PLAIN_H
#define IL_TOOLS_PLAIN_H

#include <stdio.h>
#include "interloop/status.h"

/* Writes a text, '?' for every control character but ends of lines and tabs. Takes
 * NULL. */
void il_put_plain(FILE *to, const char *text);
/* The text itself, "" for NULL, or "(not printable)" for one with any control
 * character. */
const char *il_plain(const char *text);
/* Writes an error as a line of its own to stderr. */
void il_put_error(const il_error *err);

#endif
