/* References: see reference.h. */
#include "loop/reference.h"

#include <stdlib.h>
#include <string.h>
#include "base/compiler.h"

il_status il_reference_open(il_reference *r, const il_reference_spec *spec,
                            const il_store *model, il_error *err)
{
    r->spec = spec;
    r->block = il_store_block(model);
    r->values = calloc(model->count + 1, sizeof *r->values);
    if (r->block == NULL || r->values == NULL) {
        il_reference_close(r);
        return il_error_set(err, IL_ERR_MEMORY, spec->name, "out of memory");
    }
    for (size_t i = 0; i < model->count; i++) {
        r->values[i] = model->values + model->items[i].offset;
    }
    return IL_OK;
}

void il_reference_close(il_reference *r)
{
    free(r->block);
    free(r->values);
    r->block = NULL;
    r->values = NULL;
}

void il_reference_filled(il_reference *r, const il_store *model)
{
    for (size_t i = 0; i < model->count; i++) {
        r->values[i] = r->block + model->items[i].offset;
    }
    r->filled = true;
}

void il_reference_start(il_reference *r, const il_store *model)
{
    memcpy(r->block, model->values, (size_t)model->total * sizeof *r->block);
    il_reference_filled(r, model);
}

IL_CLONES static void follow(float *restrict r, const float *restrict w, float decay,
                             int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        r[i] = decay * r[i] + (1.0f - decay) * w[i];
    }
}

void il_reference_follow(il_reference *r, const il_store *model)
{
    follow(r->block, model->values, (float)r->spec->moving_average, model->total);
}
