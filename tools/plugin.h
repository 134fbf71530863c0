/* The jobs of `interloop plugin` that have a file of their own. Each takes its own name
 * as argv[0] and returns the exit code. */
#ifndef IL_TOOLS_PLUGIN_H
#define IL_TOOLS_PLUGIN_H

#include <stdbool.h>
#include "interloop/plugin.h"
#include "base/text.h"

int il_plugin_new(int argc, char **argv);
int il_plugin_check(int argc, char **argv);
int il_plugin_inspect(int argc, char **argv);

/* Says what of the command line is wrong; 2. */
int il_plugin_wrong(const char *what, const char *detail);
/* Says an error; its exit code. */
int il_plugin_complain(const il_error *err);

/* Loads a plugin (an absolute path) in another process and has it asked there; the
 * answer is malloc'ed. `stamped`: it must have a good manifest. */
typedef il_status il_plugin_question(const char *path, const il_plugin *entry,
                                     il_text *out, il_error *err);
il_status il_plugin_ask(const char *path, bool stamped, il_plugin_question *question,
                        char **text, il_error *err);

#endif
