#include "source.h"

/* The usual names, which a folder need not have. */
static bool usual(const char *name)
{
    return strcmp(name, "tokens") == 0 || strcmp(name, "mask") == 0 ||
           strcmp(name, "ids") == 0 || strcmp(name, "lengths") == 0;
}

/* Finds a tensor with one value a row, or where it `may` one a position, and holds it
 * to the activations. */
static il_status find_beside(const source *s, const char *name, bool may_row,
                             bool may_wide, beside *out, il_error *err)
{
    int64_t shape[IL_DIMS_MAX];
    int32_t ndim = 0;

    out->column = -1;
    out->wide = false;
    if (name[0] == '\0' || (usual(name) && !harvest_has(s->tensors, name))) {
        return IL_OK;
    }
    IL_TRY(il_tensors_find(s->tensors, name, &out->column, &ndim, shape, err));
    out->wide = ndim == 2;
    if (!(ndim == 1 && (may_row || s->length == 1)) &&
        !(ndim == 2 && may_wide && shape[1] == s->length)) {
        return il_error_set(err, IL_ERR_SHAPE, name,
                            "expected shape (%s%s%s), with T = %lld as the activations "
                            "have it, got %d dimensions%s",
                            may_row ? "B" : "", may_row && may_wide ? ") or (" : "",
                            may_wide ? "B,T" : "", (long long)s->length, (int)ndim,
                            ndim == 2 ? " of another T" : "");
    }
    return il_tensors_agree(s->tensors, s->sites[0].column, out->column, err);
}

il_status source_open(source *out, const il_setup *s, const char *folder, wanted *w,
                      il_error *err)
{
    IL_TRY(il_setup_tensors(s, &out->tensors, folder, w->files, err));
    IL_TRY(harvest_sites(out->tensors, w->sites, out->sites, &out->site_count, err));
    out->rows = out->sites[0].rows;
    out->length = out->sites[0].length;
    for (int32_t i = 1; i < out->site_count; i++) {
        const harvest_site *a = &out->sites[i];

        if (a->ndim != out->sites[0].ndim || a->length != out->length) {
            return il_error_set(err, IL_ERR_SHAPE, a->is.tensor,
                                "expected (B,T) as '%s' has it, T = %lld, got T = %lld",
                                out->sites[0].is.tensor, (long long)out->length,
                                (long long)a->length);
        }
        IL_TRY(il_tensors_agree(out->tensors, out->sites[0].column, a->column, err));
    }
    if (w->label_count == 0 && harvest_has(out->tensors, "labels")) {
        const char *said = il_tensors_about(out->tensors, "label");
        harvest_name *n = &w->labels[w->label_count++];

        (void)snprintf(n->name, sizeof n->name, "%s", said != NULL ? said : "labels");
        (void)snprintf(n->tensor, sizeof n->tensor, "labels");
    }
    IL_TRY(find_beside(out, w->tokens, false, true, &out->tokens, err));
    IL_TRY(find_beside(out, w->mask, false, true, &out->mask, err));
    IL_TRY(find_beside(out, w->ids, true, false, &out->ids, err));
    IL_TRY(find_beside(out, w->lengths, true, false, &out->lengths, err));
    for (int32_t i = 0; i < w->label_count; i++) {
        IL_TRY(find_beside(out, w->labels[i].tensor, true, true, &out->labels[i], err));
    }
    return IL_OK;
}

il_status source_ids(const source *s, int64_t base, int64_t first, int64_t rows,
                     int64_t *out, il_error *err)
{
    if (s->ids.column >= 0) {
        return il_tensors_read(s->tensors, s->ids.column, first, rows, IL_I64, out,
                               err);
    }
    for (int64_t i = 0; i < rows; i++) {
        out[i] = base + first + i;
    }
    return IL_OK;
}

il_status source_flags(const source *s, const beside *b, int64_t first, int64_t rows,
                       uint8_t *out, il_error *err)
{
    IL_TRY(il_tensors_read(s->tensors, b->column, first, rows, IL_U8, out, err));
    if (!b->wide) {
        /* From the end, so that nothing is written over before it is read. */
        for (int64_t i = rows * s->length - 1; i >= 0; i--) {
            out[i] = out[i / s->length];
        }
    }
    return IL_OK;
}
