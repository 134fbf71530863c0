/* What a folder's JSON says, read as one type or refused with what stands there. */
#ifndef VALUES_H
#define VALUES_H

#include <interloop/plugin.h>

typedef struct values {
    const il_pretrained *from;
    const char *file; /* what errors call it */
} values;

/* What stands at `name` in a few words ("'text'", "7", "nothing"), for errors. */
const char *value_shown(const values *v, const char *name, char out[64]);

/* A whole number of [1,max]; with `initial` above 0 it may be absent. */
il_status value_size(const values *v, const char *name, int64_t initial, int64_t max,
                     int64_t *value, il_error *err);
/* A number, `initial` where it is absent. */
il_status value_real(const values *v, const char *name, double initial, double *value,
                     il_error *err);
/* True or false, `initial` where it is absent. */
il_status value_flag(const values *v, const char *name, bool initial, bool *value,
                     il_error *err);
/* A flag that has to be this, or absent: what the other means is not known here. */
il_status value_must_be(const values *v, const char *name, bool wanted, il_error *err);
/* That nothing stands there, or an empty list or object, or false. */
il_status value_empty(const values *v, const char *name, il_error *err);

#endif
