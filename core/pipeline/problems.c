/* Collecting, ordering and printing problems. */
#include "pipeline/problems.h"

#include <stdlib.h>

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static void add(il_problems *p, il_place place, const char *message)
{
    for (size_t i = 0; i < p->count; i++) {
        const il_problem *have = &p->kept[i];

        if (have->place.line == place.line && have->place.column == place.column &&
            same_text(have->place.file, place.file) &&
            strcmp(have->message, message) == 0) {
            return;
        }
    }
    if (p->count == IL_PROBLEMS_KEPT) {
        p->left++;
        return;
    }
    message = il_arena_strdup(p->arena, message);
    if (place.file != NULL) {
        place.file = il_arena_strdup(p->arena, place.file);
        if (place.file == NULL) {
            message = NULL;
        }
    }
    if (message == NULL) {
        p->no_memory = true;
        return;
    }
    p->kept[p->count].place = place;
    p->kept[p->count].message = message;
    p->kept[p->count].order = p->count;
    p->count++;
}

void il_problem_add(il_problems *p, il_place place, const char *fmt, ...)
{
    char message[IL_ERROR_MESSAGE_MAX];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    add(p, place, message);
}

void il_problem_add_nearest(il_problems *p, il_place place, const char *word,
                            const char *const *candidates, size_t count,
                            const char *fmt, ...)
{
    char message[IL_ERROR_MESSAGE_MAX];
    const char *nearest = il_nearest(word, candidates, count);
    size_t used;
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    used = strlen(message);
    if (nearest != NULL && strcmp(nearest, word) != 0) {
        (void)snprintf(message + used, sizeof message - used, ", did you mean '%s'?",
                       nearest);
    } else if (count == 0) {
        (void)snprintf(message + used, sizeof message - used, ", and none is declared");
    } else {
        for (size_t i = 0; i < count && i < 24; i++) {
            (void)snprintf(message + used, sizeof message - used, "%s%s",
                           i == 0           ? ", expected "
                           : i + 1 == count ? " or "
                                            : ", ",
                           candidates[i]);
            used = strlen(message);
        }
        if (count > 24) {
            (void)snprintf(message + used, sizeof message - used, ", ...");
        }
    }
    add(p, place, message);
}

/* Files in the order in which they first gave a problem, then lines and columns. */
static size_t file_rank(const il_problems *p, const char *file)
{
    for (size_t i = 0; i < p->count; i++) {
        if (same_text(p->kept[i].place.file, file)) {
            return p->kept[i].order;
        }
    }
    return p->count;
}

typedef struct ranked {
    il_problem problem;
    size_t rank;
} ranked;

static int by_place(const void *a, const void *b)
{
    const ranked *x = a;
    const ranked *y = b;

    if (x->rank != y->rank) {
        return x->rank < y->rank ? -1 : 1;
    }
    if (x->problem.place.line != y->problem.place.line) {
        return x->problem.place.line < y->problem.place.line ? -1 : 1;
    }
    if (x->problem.place.column != y->problem.place.column) {
        return x->problem.place.column < y->problem.place.column ? -1 : 1;
    }
    return x->problem.order < y->problem.order ? -1 : 1;
}

static void sort(il_problems *p)
{
    ranked items[IL_PROBLEMS_KEPT];

    for (size_t i = 0; i < p->count; i++) {
        items[i].problem = p->kept[i];
        items[i].rank = file_rank(p, p->kept[i].place.file);
    }
    qsort(items, p->count, sizeof items[0], by_place);
    for (size_t i = 0; i < p->count; i++) {
        p->kept[i] = items[i].problem;
        p->kept[i].order = i;
    }
}

void il_problems_write(il_problems *p, il_text *out)
{
    sort(p);
    for (size_t i = 0; i < p->count; i++) {
        const il_place *at = &p->kept[i].place;

        if (at->file != NULL && at->line > 0) {
            il_text_addf(out, "%s:%d:%d: ", at->file, at->line, at->column);
        } else if (at->file != NULL) {
            il_text_addf(out, "%s: ", at->file);
        }
        il_text_addf(out, "error: %s\n", p->kept[i].message);
    }
    if (p->left > 0) {
        il_text_addf(out, "error: and %zu more\n", p->left);
    }
    if (p->no_memory) {
        il_text_add(out, "error: out of memory\n");
    }
}

il_status il_problems_status(il_problems *p, il_error *err)
{
    char where[IL_ERROR_WHERE_MAX];
    const il_place *at;

    if (p->no_memory) {
        return il_error_set(err, IL_ERR_MEMORY, "pipeline", "out of memory");
    }
    if (p->count == 0) {
        return IL_OK;
    }
    sort(p);
    at = &p->kept[0].place;
    if (at->line > 0) {
        (void)snprintf(where, sizeof where, "%s:%d:%d", at->file ? at->file : "",
                       at->line, at->column);
    } else {
        (void)snprintf(where, sizeof where, "%s", at->file ? at->file : "");
    }
    if (p->count + p->left > 1) {
        return il_error_set(err, IL_ERR_INPUT, where, "%s (and %zu more)",
                            p->kept[0].message, p->count + p->left - 1);
    }
    return il_error_set(err, IL_ERR_INPUT, where, "%s", p->kept[0].message);
}
