/* What reads harvested shards has in common: lists of names, and the sites that a
 * folder holds. */
#ifndef PLUGINS_HARVEST_H
#define PLUGINS_HARVEST_H

#include "interloop/plugin.h"

enum { HARVEST_SITES = 64, HARVEST_NAME = 112 };

/* Before a site's name, of its tensor in files and of its field in rows. */
#define HARVEST_ACTS "acts."
/* The fact by which model and data know that they are of the same weights. */
#define HARVEST_FACT "harvested_model"

/* A name with the tensor that it stands for. */
typedef struct harvest_name {
    char name[HARVEST_NAME];
    char tensor[HARVEST_NAME + sizeof HARVEST_ACTS];
} harvest_name;

typedef struct harvest_site {
    harvest_name is;
    char field[HARVEST_NAME + sizeof HARVEST_ACTS]; /* acts.NAME */
    int64_t column;
    int32_t ndim; /* 2: rows of one position; 3 */
    int64_t rows, length, width;
} harvest_site;

/* The next of a list with commas: NAME or NAME=TENSOR, where without one the tensor is
 * the name. false at its end; IL_ERR_INPUT for one that is too long. */
IL_UNUSED static bool harvest_next(const char **list, harvest_name *out,
                                   il_status *status, il_error *err)
{
    const char *from = *list + strspn(*list, ", ");
    size_t n = strcspn(from, ", ");
    size_t to = strcspn(from, "=, ");
    const char *tensor = to < n ? from + to + 1 : from;
    size_t size = to < n ? n - to - 1 : n;

    if (n == 0) {
        return false;
    }
    *list = from + n;
    if (to == 0 || to >= HARVEST_NAME || size == 0 || size >= HARVEST_NAME) {
        *status = il_error_set(err, IL_ERR_INPUT, "",
                               "expected names below %d bytes, with commas, each NAME "
                               "or NAME=TENSOR, got '%.40s'",
                               (int)HARVEST_NAME, from);
        return false;
    }
    memcpy(out->name, from, to);
    out->name[to] = '\0';
    memcpy(out->tensor, tensor, size);
    out->tensor[size] = '\0';
    return true;
}

/* Whether the tensors have one of that name. */
IL_UNUSED static bool harvest_has(const il_tensors *t, const char *name)
{
    for (int64_t i = 0; i < il_tensors_count(t); i++) {
        if (strcmp(il_tensors_name(t, i), name) == 0) {
            return true;
        }
    }
    return false;
}

/* Looks a site's tensor up: (N,W), rows of one position, or (B,T,W). */
IL_UNUSED static il_status harvest_look(const il_tensors *t, harvest_site *s,
                                        il_error *err)
{
    int64_t shape[IL_DIMS_MAX];

    (void)snprintf(s->field, sizeof s->field, HARVEST_ACTS "%s", s->is.name);
    IL_TRY(il_tensors_find(t, s->is.tensor, &s->column, &s->ndim, shape, err));
    if (s->ndim != 2 && s->ndim != 3) {
        return il_error_set(err, IL_ERR_SHAPE, s->is.tensor,
                            "expected activations of shape (N,W) or (B,T,W), got %d "
                            "dimensions",
                            (int)s->ndim);
    }
    s->rows = shape[0];
    s->length = s->ndim == 3 ? shape[1] : 1;
    s->width = shape[s->ndim - 1];
    return s->length > 0 && s->width > 0
               ? IL_OK
               : il_error_set(err, IL_ERR_SHAPE, s->is.tensor,
                              "expected activations, got none");
}

/* A number for the weights that the shards are of, as a fact may hold it: 0 where they
 * do not say. */
IL_UNUSED static int64_t harvest_model(const il_tensors *t)
{
    const char *hash = il_tensors_about(t, "model");
    uint64_t out = 0;

    if (hash == NULL) {
        return 0;
    }
    for (; *hash != '\0'; hash++) {
        out = il_rng_mix_(out, (unsigned char)*hash);
    }
    return (int64_t)(out >> 1 | 1);
}

/* The sites of a list, or all that the files name acts.SITE where it is empty. What is
 * listed is the tensor acts.NAME, or NAME where there is none such. */
IL_UNUSED static il_status harvest_sites(const il_tensors *t, const char *list,
                                         harvest_site *sites, int32_t *count,
                                         il_error *err)
{
    bool all = list[strspn(list, ", ")] == '\0';
    const size_t skip = strlen(HARVEST_ACTS);
    il_status status = IL_OK;
    int32_t n = 0;
    harvest_name name;

    for (int64_t i = 0; all && i < il_tensors_count(t) && status == IL_OK; i++) {
        const char *tensor = il_tensors_name(t, i);
        const char *from = tensor + skip;

        if (strncmp(tensor, HARVEST_ACTS, skip) != 0) {
            continue;
        }
        if (n == HARVEST_SITES) {
            return il_error_set(err, IL_ERR_INPUT, "sites",
                                "expected at most %d sites, got more: name those that "
                                "are wanted",
                                (int)HARVEST_SITES);
        }
        memset(&sites[n], 0, sizeof sites[n]);
        if (harvest_next(&from, &sites[n].is, &status, err)) {
            (void)snprintf(sites[n].is.tensor, sizeof sites[n].is.tensor, "%s", tensor);
            IL_TRY(harvest_look(t, &sites[n], err));
            n++;
        }
    }
    while (!all && harvest_next(&list, &name, &status, err)) {
        char own[sizeof name.tensor];

        if (n == HARVEST_SITES) {
            return il_error_set(err, IL_ERR_INPUT, "sites", "expected at most %d sites",
                                (int)HARVEST_SITES);
        }
        for (int32_t i = 0; i < n; i++) {
            if (strcmp(sites[i].is.name, name.name) == 0) {
                return il_error_set(err, IL_ERR_INPUT, "sites",
                                    "the site '%s' is there already", name.name);
            }
        }
        (void)snprintf(own, sizeof own, HARVEST_ACTS "%s", name.name);
        memset(&sites[n], 0, sizeof sites[n]);
        sites[n].is = name;
        if (strcmp(name.name, name.tensor) == 0 && harvest_has(t, own)) {
            memcpy(sites[n].is.tensor, own, sizeof own);
        }
        IL_TRY(harvest_look(t, &sites[n], err));
        n++;
    }
    *count = n;
    IL_TRY(status);
    return n > 0 ? IL_OK
                 : il_error_set(err, IL_ERR_INPUT, "sites",
                                "the files have no tensor '" HARVEST_ACTS
                                "SITE': name sites, as NAME=TENSOR");
}

#endif
