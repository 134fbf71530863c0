/* What the verbs under `config` share: their options, the loaded document, messages. */
#ifndef IL_TOOLS_CONFIG_H
#define IL_TOOLS_CONFIG_H

#include "pipeline/jobs.h"
#include "plugin/registry.h"

enum { IL_CONFIG_WORDS = 256 };

typedef struct il_config_options {
    const char *words[IL_CONFIG_WORDS]; /* files, and what a verb takes beside them */
    size_t word_count;
    const char *sets[IL_CONFIG_WORDS];
    size_t set_count;
    const char *plugins[IL_CONFIG_WORDS]; /* folders */
    size_t plugin_count;
    const char *stage;
    const char *variant;
    uint64_t seed;
    bool has_seed;
    bool sources;
    bool grammar; /* plugins are not looked at */
    bool json;
    const char *use[4]; /* new: by kind, model, data, environment, detector */
} il_config_options;

/* A pipeline as the command line names it. */
typedef struct il_config_file {
    il_arena *arena;
    il_problems problems;
    il_document *document; /* NULL when there is nothing to look at */
} il_config_file;

/* Loads a pipeline with the options' settings; false, with what is wrong printed and
 * the exit code in *code, when it has problems. The file is to be closed either way. */
bool il_config_open(il_config_file *f, const char *path, const il_config_options *o,
                    int *code);
void il_config_close(il_config_file *f);
/* Prints the problems; the exit code. */
int il_config_report(il_problems *problems);
/* The tree that the options choose: a job's, or the whole file's with every override;
 * NULL with problems. */
const il_node *il_config_tree(il_config_file *f, const il_config_options *o);
/* The registry of the options' folders, of the document's own and of the defaults; NULL
 * with the reason printed. The caller destroys it. `document` may be NULL. */
il_registry *il_config_registry(const il_config_options *o, const il_node *document,
                                il_arena *arena);

int il_config_explain(const il_config_options *o);
int il_config_diff(const il_config_options *o);
int il_config_schema(const il_config_options *o);
int il_config_reference(const il_config_options *o);
int il_config_new(const il_config_options *o);

#endif
