/* The schema: which keys a pipeline may hold, and the type that each gives its
 * value.
 *
 * One table says it all, and serves the checks and their messages, the merge rule,
 * and whatever wants to describe the grammar to an editor. Names that only the
 * pipeline itself can settle (is there such a detector?) are checked where the typed
 * pipeline is read. */
#ifndef IL_PIPELINE_SCHEMA_H
#define IL_PIPELINE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include "pipeline/node.h"
#include "pipeline/problems.h"

typedef enum il_schema_kind {
    IL_SCHEMA_ANY,        /* whatever; a component's params, a variable */
    IL_SCHEMA_TEXT,       /* not empty */
    IL_SCHEMA_NAME,       /* letters, digits, '_' and '-' */
    IL_SCHEMA_INT,        /* in [min, max] */
    IL_SCHEMA_REAL,       /* in [min, max], or open where said */
    IL_SCHEMA_FLAG,       /* true, false */
    IL_SCHEMA_CHOICE,     /* one of `choices` */
    IL_SCHEMA_COMPARISON, /* ">= 0.9" */
    IL_SCHEMA_LIST,       /* of `element`, at least `least` */
    IL_SCHEMA_NAMED,      /* a map from names to `element` */
    IL_SCHEMA_MAP,        /* of `fields` */
    IL_SCHEMA_USE,   /* a map whose `use` picks the case that gives its other keys */
    IL_SCHEMA_CASES, /* a map in which the key that names a case picks it */
    IL_SCHEMA_EITHER /* the first of `options` for this kind of node */
} il_schema_kind;

typedef struct il_schema il_schema;

enum {
    IL_FIELD_REQUIRED = 1u << 0,
    IL_FIELD_WHOLE = 1u << 1, /* replaced whole, never merged */
    IL_FIELD_ONE = 1u << 2    /* of the fields with this flag exactly one is given */
};

typedef struct il_schema_field {
    const char *key;
    const il_schema *type;
    unsigned flags;
    const char *help; /* one sentence without a full stop */
} il_schema_field;

typedef struct il_schema_case {
    const char *name;
    const il_schema_field *fields; /* of CASES with the case's own key among them */
    size_t field_count;
} il_schema_case;

struct il_schema {
    il_schema_kind kind;
    const char *what; /* "a signal", "a whole number of steps": what was expected */
    double min, max;  /* INT, REAL */
    bool open_min, open_max;
    bool any_key;               /* NAMED: keys may hold dots and whatever else */
    bool whole;                 /* NAMED: elements are replaced whole */
    size_t least;               /* LIST, NAMED */
    const char *const *choices; /* ends in NULL */
    const il_schema *element;
    const il_schema_field *fields;
    size_t field_count;
    const il_schema_case *cases;
    size_t case_count;
    const il_schema *const *options; /* ends in NULL */
};

/* The whole grammar, and the part of it that is one stage. */
extern const il_schema il_schema_pipeline;
extern const il_schema il_schema_stage;

/* Adds a problem for everything in the tree that the schema does not allow. */
void il_schema_check(const il_schema *schema, const il_node *node,
                     il_problems *problems);

/* The alternative of an EITHER that fits the kind of the node, or the schema itself;
 * NULL when none fits. */
const il_schema *il_schema_pick(const il_schema *schema, const il_node *node);
/* The type of a key of a map, with the field's flags in *flags; NULL when it may not
 * be there. `map` may be NULL for a map that is yet to be made. */
const il_schema *il_schema_child(const il_schema *schema, const il_node *map,
                                 const char *key, unsigned *flags);
/* The field of the table that a key of a map stands for, the same way; NULL for names
 * of the user's own and keys that the grammar gives no words to. */
const il_schema_field *il_schema_field_of(const il_schema *schema, const il_node *map,
                                          const char *key);
/* The keys that a map may hold, at most `room`; returns how many. */
size_t il_schema_keys(const il_schema *schema, const il_node *map, const char **keys,
                      size_t room);

/* Is it a name: letters, digits, '_' and '-', at most 64, beginning with a letter? */
bool il_is_name(const char *text);

/* Scalars by type; false with a problem unless `node` is one. Quoted text is never a
 * number or a flag. */
bool il_node_int(const il_node *node, double min, double max, int64_t *value,
                 const char *what, il_problems *problems);
bool il_node_real(const il_node *node, const il_schema *range, double *value,
                  il_problems *problems);
bool il_node_flag(const il_node *node, bool *value, il_problems *problems);

#endif
