/* Parameter tables: what a component may be configured with.
 *
 * One table serves the checks, the messages, the help and the schema. The core parses
 * and checks; a plugin reads typed values from its il_setup and never sees YAML. */
#ifndef INTERLOOP_PARAMS_H
#define INTERLOOP_PARAMS_H

#include <stddef.h>
#include <stdint.h>

typedef enum il_param_type {
    IL_PARAM_TYPE_INT = 1,   /* a whole number            */
    IL_PARAM_TYPE_REAL = 2,  /* a finite number           */
    IL_PARAM_TYPE_FLAG = 3,  /* true or false             */
    IL_PARAM_TYPE_TEXT = 4,  /* any text                  */
    IL_PARAM_TYPE_CHOICE = 5 /* one of `choices`          */
} il_param_type;

enum {
    IL_PARAM_REQUIRED = 1u << 0, /* has no default; leaving it out is an error */
    IL_PARAM_SECRET = 1u << 1, /* never printed nor stored                           */
    IL_PARAM_DEPRECATED = 1u << 2, /* accepted, with a warning */
    IL_PARAM_PATH =
        1u << 3 /* text that names a file or folder, relative to the pipeline */
};

/* One row. Text is static and lives as long as the plugin. */
typedef struct il_param_spec {
    uint32_t struct_size;
    uint32_t flags;
    const char *name; /* lower case, words joined by '_' */
    il_param_type type;
    const char *unit;           /* "tokens", "nats", ...; "" for a bare number */
    const char *initial;        /* the default, as text; NULL when required */
    double min, max;            /* bounds of INT and REAL, both included */
    const char *const *choices; /* NULL-terminated, for CHOICE */
    const char *help;           /* one sentence */
} il_param_spec;

#define IL_PARAM_INT(name_, default_, min_, max_, unit_, help_)                        \
    {                                                                                  \
        sizeof(il_param_spec), 0, name_, IL_PARAM_TYPE_INT, unit_, default_, min_,     \
            max_, NULL, help_                                                          \
    }
#define IL_PARAM_REAL(name_, default_, min_, max_, unit_, help_)                       \
    {                                                                                  \
        sizeof(il_param_spec), 0, name_, IL_PARAM_TYPE_REAL, unit_, default_, min_,    \
            max_, NULL, help_                                                          \
    }
#define IL_PARAM_FLAG(name_, default_, help_)                                          \
    {                                                                                  \
        sizeof(il_param_spec), 0, name_, IL_PARAM_TYPE_FLAG, "", default_, 0, 0, NULL, \
            help_                                                                      \
    }
#define IL_PARAM_TEXT(name_, default_, flags_, help_)                                  \
    {                                                                                  \
        sizeof(il_param_spec), flags_, name_, IL_PARAM_TYPE_TEXT, "", default_, 0, 0,  \
            NULL, help_                                                                \
    }
#define IL_PARAM_CHOICE(name_, default_, choices_, help_)                              \
    {                                                                                  \
        sizeof(il_param_spec), 0, name_, IL_PARAM_TYPE_CHOICE, "", default_, 0, 0,     \
            choices_, help_                                                            \
    }

#endif
