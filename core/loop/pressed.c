/* Pressure on record: see pressed.h. */
#include "loop/pressed.h"

#include <stdlib.h>
#include <string.h>

il_status il_pressed_create(il_pressed *p, const il_world *w, il_error *err)
{
    p->detectors = w->detector_count;
    p->words = il_bits_words(w->model->store->count);
    p->bits = calloc(2 * p->detectors * p->words + 1, sizeof *p->bits);
    if (p->bits == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "plan", "out of memory");
    }
    p->taught = p->bits + p->detectors * p->words;
    return IL_OK;
}

void il_pressed_free(il_pressed *p)
{
    free(p->bits);
    p->bits = NULL;
    p->taught = NULL;
}

void il_pressed_copy(il_pressed *to, const il_pressed *from)
{
    memcpy(to->bits, from->bits, 2 * from->detectors * from->words * sizeof *to->bits);
}

il_word *il_pressed_of(const il_pressed *p, size_t detector)
{
    return p->bits + detector * p->words;
}

il_word *il_pressed_taught(const il_pressed *p, size_t detector)
{
    return p->taught + detector * p->words;
}

static json_t *block_json(const il_pressed *p, const il_word *block, const il_world *w)
{
    json_t *all = json_object();

    for (size_t d = 0; d < p->detectors; d++) {
        json_t *names = json_array();

        for (size_t i = 0; i < w->model->store->count; i++) {
            if (il_bits_has(block + d * p->words, i)) {
                json_array_append_new(names,
                                      json_string(w->model->store->items[i].name));
            }
        }
        if (json_array_size(names) > 0) {
            json_object_set(all, w->detectors[d]->spec->name, names);
        }
        json_decref(names);
    }
    return all;
}

json_t *il_pressed_json(const il_pressed *p, const il_world *w)
{
    return block_json(p, p->bits, w);
}

json_t *il_pressed_taught_json(const il_pressed *p, const il_world *w)
{
    return block_json(p, p->taught, w);
}

static il_status read_block(const il_pressed *p, il_word *block, const il_world *w,
                            const json_t *json, il_error *err)
{
    const char *detector;
    json_t *names;

    json_object_foreach((json_t *)json, detector, names)
    {
        size_t i;
        json_t *name;
        size_t d = 0;

        while (d < p->detectors && strcmp(w->detectors[d]->spec->name, detector) != 0) {
            d++;
        }
        json_array_foreach(names, i, name)
        {
            int64_t at = json_is_string(name)
                             ? il_store_find(w->model->store, json_string_value(name))
                             : -1;

            if (at < 0) {
                return il_error_set(
                    err, IL_ERR_INPUT, detector,
                    "the state says that this detector's pressure changed a "
                    "parameter that the model does not have");
            }
            if (d < p->detectors) {
                il_bits_set(block + d * p->words, (size_t)at);
            }
        }
    }
    return IL_OK;
}

il_status il_pressed_read(il_pressed *p, const il_world *w, const json_t *changed,
                          const json_t *taught, il_error *err)
{
    IL_TRY(read_block(p, p->bits, w, changed, err));
    return read_block(p, p->taught, w, taught, err);
}
