#include "episode/written.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "pipeline/fields.h"

static int64_t length_of(const il_batch *batch, int64_t row)
{
    return il_i32(il_batch_find(batch, "lengths"))[row];
}

/* Fields that say no more than an episode's number and length do are left out. */
static bool is_told(const il_field *f)
{
    return f->role != IL_FIELD_UNIT && f->role != IL_FIELD_WEIGHT &&
           strcmp(f->name, "lengths") != 0 && strcmp(f->name, "acted") != 0;
}

static void add_number(il_text *out, const il_tensor *t, int64_t i)
{
    char text[32];

    if (t->dtype.code == IL_CODE_FLOAT) {
        il_format_real32(il_f32(t)[i], text);
        il_text_add(out, text);
    } else if (t->dtype.bits == 8) {
        il_text_addf(out, "%d", (int)il_u8(t)[i]);
    } else if (t->dtype.bits == 64) {
        il_text_addf(out, "%" PRId64, il_i64(t)[i]);
    } else {
        il_text_addf(out, "%" PRId32, il_i32(t)[i]);
    }
}

/* `count` numbers from `first` on, in brackets. */
static void add_list(il_text *out, const il_tensor *t, int64_t first, int64_t count)
{
    il_text_add(out, "[");
    for (int64_t i = 0; i < count; i++) {
        il_text_add(out, i > 0 ? ", " : "");
        add_number(out, t, first + i);
    }
    il_text_add(out, "]");
}

/* What a tensor holds of a row, cut to `length` positions. */
static void add_values(il_text *out, const il_tensor *t, int64_t row, int64_t length)
{
    int64_t width = t->ndim > 2 ? t->shape[2] : 1;
    int64_t first = t->ndim > 1 ? row * t->shape[1] * width : row;

    if (t->ndim == 1) {
        add_number(out, t, first);
    } else if (t->ndim == 2) {
        add_list(out, t, first, length);
    } else {
        il_text_add(out, "[");
        for (int64_t i = 0; i < length; i++) {
            il_text_add(out, i > 0 ? ", " : "");
            add_list(out, t, first + i * width, width);
        }
        il_text_add(out, "]");
    }
}

void il_episode_json(il_text *out, const il_instance *environment,
                     const il_batch *batch, int64_t row, int64_t number)
{
    int64_t length = length_of(batch, row);
    int32_t count = 0;
    const il_field *fields = il_instance_fields(environment, &count);

    il_text_addf(out, "{\"episode\": %" PRId64 ", \"length\": %" PRId64, number,
                 length);
    for (int32_t i = 0; i < count; i++) {
        const il_tensor *t = il_batch_find(batch, fields[i].name);

        if (t != NULL && is_told(&fields[i])) {
            il_text_addf(out, ", \"%s\": ", fields[i].name);
            add_values(out, t, row, length);
        }
    }
    il_text_add(out, "}\n");
}

/* ---- for people ----------------------------------------------------------------- */

/* The field at a position, or what the whole row shares. */
static void add_cell(il_text *out, const il_tensor *t, int64_t row, int64_t position)
{
    int64_t width = t->ndim > 2 ? t->shape[2] : 1;

    for (int64_t i = 0; i < width; i++) {
        il_text_add(out, i > 0 ? " " : "");
        add_number(out, t,
                   t->ndim == 1 ? row : (row * t->shape[1] + position) * width + i);
    }
}

/* How wide a field's column is: its name, or its widest cell. */
static int room_of(const il_tensor *t, const char *name, int64_t row, int64_t length)
{
    size_t most = strlen(name);
    il_text cell = {0};

    for (int64_t p = 0; p < length; p++) {
        cell.size = 0;
        add_cell(&cell, t, row, p);
        most = cell.size > most ? cell.size : most;
    }
    il_text_free(&cell);
    return (int)most;
}

/* One column, its name first, as cells of equal width. */
static void add_column(il_text *lines, const il_tensor *t, const char *name,
                       int64_t row, int64_t length)
{
    int room = room_of(t, name, row, length);
    il_text cell = {0};

    il_text_addf(&lines[0], "  %*s", room, name);
    for (int64_t p = 0; p < length; p++) {
        cell.size = 0;
        add_cell(&cell, t, row, p);
        il_text_addf(&lines[p + 1], "  %*s", room, cell.data != NULL ? cell.data : "");
    }
    il_text_free(&cell);
}

static void add_table(il_text *out, const il_instance *environment,
                      const il_batch *batch, int64_t row)
{
    int64_t length = length_of(batch, row);
    int32_t count = 0;
    const il_field *fields = il_instance_fields(environment, &count);
    il_text *lines = calloc((size_t)length + 1, sizeof *lines);

    if (lines == NULL) {
        out->failed = true;
        return;
    }
    for (int64_t p = -1; p < length; p++) {
        if (p < 0) {
            il_text_add(&lines[0], "  at");
        } else {
            il_text_addf(&lines[p + 1], "%4" PRId64, p);
        }
    }
    for (int32_t i = 0; i < count; i++) {
        const il_tensor *t = il_batch_find(batch, fields[i].name);

        if (t != NULL && is_told(&fields[i])) {
            add_column(lines, t, fields[i].name, row, length);
        }
    }
    for (int64_t p = 0; p <= length; p++) {
        il_text_add(out, lines[p].data != NULL ? lines[p].data : "");
        il_text_add(out, "\n");
        il_text_free(&lines[p]);
    }
    free(lines);
}

void il_episode_text(il_text *out, const il_instance *environment,
                     const il_batch *batch, int64_t row)
{
    const il_environment_api *api = il_instance_environment(environment);
    char none[1];
    size_t size;
    char *text;

    if (!IL_HAS(api, text)) {
        add_table(out, environment, batch, row);
        return;
    }
    size = api->text(environment->self, batch, row, none, sizeof none);
    text = calloc(size + 1, 1);
    if (text == NULL) {
        out->failed = true;
        return;
    }
    (void)api->text(environment->self, batch, row, text, size + 1);
    il_text_add(out, text);
    if (size > 0 && text[size - 1] != '\n') {
        il_text_add(out, "\n");
    }
    free(text);
}
