#define _POSIX_C_SOURCE 200809L
#include "corpus.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "draft.h"
#include "json.h"

uint64_t corpus_hash(uint64_t from, const void *data, size_t size)
{
    const char *p = data;
    uint64_t word;

    for (; size >= 8; p += 8, size -= 8) {
        memcpy(&word, p, 8);
        from = il_rng_mix_(from, word);
    }
    word = 0;
    memcpy(&word, p, size);
    return il_rng_mix_(il_rng_mix_(from, word), size);
}

il_status corpus_names(corpus *c, const char *list, bool role, bool learned,
                       il_error *err)
{
    while (*list != '\0') {
        size_t n = strcspn(list, ", ");
        name *to = &c->names[c->name_count];
        bool there = false;

        for (int i = 0; i < c->name_count; i++) {
            if (strlen(c->names[i].text) == n &&
                memcmp(c->names[i].text, list, n) == 0) {
                there = true;
                c->names[i].learned = c->names[i].learned || learned;
                if (c->names[i].role != role) {
                    return il_error_set(err, IL_ERR_INPUT, "text",
                                        "'%s' is a role and a label", c->names[i].text);
                }
            }
        }
        if (n > 0 && !there) {
            if (c->name_count == NAMES_MAX || n >= sizeof to->text) {
                return il_error_set(
                    err, IL_ERR_INPUT, "text",
                    "expected at most %d roles and labels, of less than "
                    "%zu bytes each",
                    NAMES_MAX, sizeof to->text);
            }
            memcpy(to->text, list, n);
            to->text[n] = '\0';
            to->role = role;
            to->learned = learned;
            c->name_count++;
        }
        list += n + (list[n] != '\0');
    }
    return IL_OK;
}

il_status corpus_handed(corpus *c, const il_setup *s, il_error *err)
{
    const char *date = il_setup_text(s, "date");
    size_t bad;

    c->ignore = il_setup_text(s, "ignore");
    c->variables = il_setup_text(s, "variables");
    if (c->variables[0] != '\0' &&
        (c->variables[0] != '{' ||
         !json_check(c->variables, strlen(c->variables), &bad))) {
        return il_error_set(err, IL_ERR_INPUT, "text",
                            "variables: expected a JSON object, such as "
                            "{\"enable_thinking\": false}");
    }
    if (strlen(date) + 3 > sizeof c->date || strpbrk(date, "\"\\") != NULL) {
        return il_error_set(err, IL_ERR_INPUT, "text",
                            "date: expected one like 2024-07-26");
    }
    if (date[0] != '\0') {
        (void)snprintf(c->date, sizeof c->date, "\"%s\"", date);
    }
    return IL_OK;
}

void document_free(document *d)
{
    free(d->ids);
    free(d->bits);
    memset(d, 0, sizeof *d);
}

/* ---- one document --------------------------------------------------------------- */

static il_status no_memory(const corpus *c, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, c->path, "out of memory");
}

/* The tokens of a draft; each has the bits of every byte that it stands for, and the
 * one behind a learned turn, which ends it, is learned too. */
static il_status tokenize(const corpus *c, const draft *d, const char *text,
                          document *out, il_error *err)
{
    int64_t room = (int64_t)d->size + 64;
    uint32_t *firsts = NULL;
    uint32_t *lasts = NULL;
    int64_t count = 0;
    bool turn = false; /* the token before was of a turn that is learned */
    il_status status = IL_OK;

    for (int round = 0; round < 2 && status == IL_OK; round++) {
        free(firsts);
        free(lasts);
        document_free(out);
        out->ids = malloc((size_t)(room + 1) * sizeof *out->ids);
        out->bits = calloc((size_t)room + 1, sizeof *out->bits);
        firsts = malloc((size_t)room * sizeof *firsts);
        lasts = malloc((size_t)room * sizeof *lasts);
        status =
            out->ids == NULL || out->bits == NULL || firsts == NULL || lasts == NULL
                ? no_memory(c, err)
                : il_tokens_encode(c->tokens, text, d->size, d->special, room, out->ids,
                                   firsts, lasts, &count, err);
        if (count <= room) {
            break;
        }
        room = count;
    }
    for (int64_t i = 0; status == IL_OK && i < count; i++) {
        uint32_t said = 0;

        for (uint32_t k = firsts[i]; d->bits != NULL && k < lasts[i]; k++) {
            said |= d->bits[k];
        }
        out->bits[i] =
            said | (lasts[i] > firsts[i] ? TOKEN_TEXT | d->all : TOKEN_LEARN & d->all);
        out->bits[i] |= c->all_learned || turn ? TOKEN_LEARN : 0;
        turn = (said & TOKEN_LEARN) != 0;
    }
    out->count = count;
    if (status == IL_OK && c->end >= 0) {
        out->ids[count] = c->end;
        out->bits[count] = TOKEN_LEARN;
        out->count++;
    }
    if (status == IL_OK && out->count > 0) {
        out->bits[0] |= TOKEN_BEGINS;
    }
    free(firsts);
    free(lasts);
    return status;
}

il_status document_read(const corpus *c, int64_t i, document *out, uint64_t *id,
                        il_error *err)
{
    const place *p = &c->places[i];
    draft d = {.special = c->special};
    uint64_t own = corpus_hash(2, c->data + p->at, p->size);
    il_status status = IL_OK;

    memset(out, 0, sizeof *out);
    if (c->format == FORMAT_JSONL) {
        status = draft_read(c, p, &d, &own, err);
    } else {
        d.size = p->size;
        d.all = TOKEN_LEARN;
    }
    if (status == IL_OK) {
        status = tokenize(c, &d, d.text != NULL ? d.text : c->data + p->at, out, err);
    }
    out->named = d.named;
    draft_free(&d);
    if (status != IL_OK) {
        document_free(out);
        return status;
    }
    *id = own;
    return IL_OK;
}

/* ---- the file ------------------------------------------------------------------- */

static il_status map(corpus *c, il_error *err)
{
    struct stat s;
    void *data = MAP_FAILED;
    int fd = open(c->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &s) != 0) {
        (void)il_error_set(err, IL_ERR_IO, c->path, "cannot be read: %s",
                           strerror(errno));
    } else if (!S_ISREG(s.st_mode) || s.st_size == 0) {
        (void)il_error_set(err, IL_ERR_INPUT, c->path,
                           "expected a file with documents");
    } else {
        data = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        c->size = (size_t)s.st_size;
        if (data == MAP_FAILED) {
            (void)il_error_set(err, IL_ERR_IO, c->path, "cannot be mapped: %s",
                               strerror(errno));
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    c->data = data == MAP_FAILED ? NULL : data;
    return c->data != NULL ? IL_OK : err->code;
}

static il_status add_place(corpus *c, size_t at, size_t size, int64_t *room,
                           il_error *err)
{
    if (size > (size_t)1 << 29) {
        return il_error_set(err, IL_ERR_INPUT, c->path,
                            "the document at byte %zu has more than 512 MiB", at);
    }
    if (c->count == *room) {
        int64_t more = *room == 0 ? 1024 : *room * 2;
        place *places = realloc(c->places, (size_t)more * sizeof *places);

        if (places == NULL) {
            return no_memory(c, err);
        }
        c->places = places;
        *room = more;
    }
    c->places[c->count++] = (place){.at = at, .size = (uint32_t)size};
    return IL_OK;
}

il_status corpus_open(corpus *c, const char *path, il_error *err)
{
    int64_t room = 0;
    uint32_t named = 0;

    c->path = path;
    IL_TRY(map(c, err));
    for (size_t i = 0; i < c->size;) {
        const char *end =
            c->format == FORMAT_TEXT ? NULL : memchr(c->data + i, '\n', c->size - i);
        size_t last = end != NULL ? (size_t)(end - c->data) : c->size;
        size_t size = last - i;

        size -= size > 0 && end != NULL && c->data[last - 1] == '\r' ? 1 : 0;
        if (size > 0) {
            IL_TRY(add_place(c, i, size, &room, err));
        }
        i = last + 1;
    }
    for (int64_t i = 0; i < c->count; i++) {
        document d;

        IL_TRY(document_read(c, i, &d, &c->places[i].id, err));
        if (d.count > INT32_MAX) {
            document_free(&d);
            return document_wrong(c, &c->places[i], "too many tokens", err);
        }
        c->places[i].tokens = (uint32_t)d.count;
        named |= d.named;
        document_free(&d);
    }
    for (int i = 0; i < c->name_count && c->format == FORMAT_JSONL && !c->prompts;
         i++) {
        if (!c->names[i].role && (named & (uint32_t)TOKEN_NAMES << i) == 0) {
            return il_error_set(err, IL_ERR_INPUT, c->path,
                                "labels: no document says anything of '%s'",
                                c->names[i].text);
        }
    }
    return IL_OK;
}

void corpus_close(corpus *c)
{
    if (c->data != NULL) {
        (void)munmap((void *)(uintptr_t)c->data, c->size);
    }
    free(c->places);
}
