/* interloop plugin new: a folder with a plugin that works as it stands. */
#include "plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/files.h"
#include "base/text.h"
#include "templates.h"

enum { PARTS_MAX = 16, NAME_MAX_BYTES = 65 };

typedef struct making {
    const char *kind;
    char space[NAME_MAX_BYTES];
    char name[NAME_MAX_BYTES];
    const char *folder;
    /* what was written so far, taken back when the rest fails */
    char *written[PARTS_MAX];
    size_t written_count;
} making;

/* One part of an id: lower-case letters, digits and '_', beginning with a letter. */
static bool is_part(const char *text, size_t size)
{
    if (size == 0 || size >= NAME_MAX_BYTES || text[0] < 'a' || text[0] > 'z') {
        return false;
    }
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") >= size;
}

/* Takes "space.name", or a name alone for the space `your_lab`. */
static il_status take_id(making *m, const char *id, il_error *err)
{
    const char *dot = strchr(id, '.');
    const char *name = dot != NULL ? dot + 1 : id;
    const char *space = dot != NULL ? id : "your_lab";
    size_t space_size = dot != NULL ? (size_t)(dot - id) : strlen(space);

    if (!is_part(space, space_size) || !is_part(name, strlen(name))) {
        return il_error_set(err, IL_ERR_INPUT, "",
                            "'%s' is no name: expected NAME or SPACE.NAME, each of "
                            "lower-case letters, digits and '_', beginning with a "
                            "letter",
                            id);
    }
    memcpy(m->space, space, space_size);
    strcpy(m->name, name);
    return strcmp(m->space, "interloop") == 0
               ? il_error_set(err, IL_ERR_INPUT, "",
                              "the namespace interloop is that of the plugins which "
                              "come with it: take one of your own")
               : IL_OK;
}

/* The template with its three words filled in. */
static void fill_in(il_text *out, const char *text, const making *m)
{
    const struct {
        const char *word;
        const char *first;
        const char *rest;
    } words[] = {
        {"@SPACE@", m->space, NULL},
        {"@NAME@", m->name, NULL},
        {"@ID@", m->space, m->name},
    };

    while (*text != '\0') {
        size_t w = 0;

        while (w < 3 && strncmp(text, words[w].word, strlen(words[w].word)) != 0) {
            w++;
        }
        if (w == 3) {
            il_text_add_bytes(out, text++, 1);
            continue;
        }
        il_text_add(out, words[w].first);
        if (words[w].rest != NULL) {
            il_text_add(out, ".");
            il_text_add(out, words[w].rest);
        }
        text += strlen(words[w].word);
    }
}

/* Writes a file that is not there yet. */
static il_status write_new(making *m, const char *path, const il_text *text,
                           il_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    size_t done = 0;

    if (fd < 0 && errno == EEXIST) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "is there already, and stays as it is: take another "
                            "--folder");
    }
    if (fd < 0) {
        return il_error_set(err, IL_ERR_IO, path, "cannot write: %s", strerror(errno));
    }
    m->written[m->written_count] = strdup(path);
    m->written_count += m->written[m->written_count] != NULL;
    while (done < text->size) {
        ssize_t put = write(fd, text->data + done, text->size - done);

        if (put < 0 && errno != EINTR) {
            break;
        }
        done += put > 0 ? (size_t)put : 0;
    }
    if ((close(fd) != 0) | (done < text->size)) {
        return il_error_set(err, IL_ERR_IO, path, "cannot write: %s", strerror(errno));
    }
    return IL_OK;
}

static il_status write_template(making *m, const il_template *t, il_error *err)
{
    const char *part = strchr(t->name, '/') + 1;
    il_text text = {0};
    char path[PATH_MAX];
    il_status status;

    if (strcmp(part, "plugin.c") == 0) {
        (void)snprintf(path, sizeof path, "%s/%s.c", m->folder, m->name);
    } else {
        (void)snprintf(path, sizeof path, "%s/%s", m->folder, part);
    }
    fill_in(&text, t->text, m);
    status = text.failed ? il_error_set(err, IL_ERR_MEMORY, path, "out of memory")
                         : write_new(m, path, &text, err);
    il_text_free(&text);
    return status;
}

/* Every template of the kind and those common to all; all of them, or none. */
static il_status write_all(making *m, il_error *err)
{
    il_status status = il_folder_make(m->folder, err);
    size_t kind = strlen(m->kind);

    for (const il_template *t = il_templates; status == IL_OK && t->name != NULL; t++) {
        if ((strncmp(t->name, m->kind, kind) == 0 && t->name[kind] == '/') ||
            strncmp(t->name, "common/", 7) == 0) {
            status = write_template(m, t, err);
        }
    }
    for (size_t i = 0; i < m->written_count; i++) {
        if (status != IL_OK) {
            (void)unlink(m->written[i]);
        }
        free(m->written[i]);
    }
    return status;
}

static bool is_kind(const char *kind)
{
    static const char *const kinds[] = {"model", "dataset", "environment", "detector"};

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kind, kinds[i]) == 0) {
            return true;
        }
    }
    return false;
}

int il_plugin_new(int argc, char **argv)
{
    const char *words[2] = {NULL, NULL};
    size_t count = 0;
    il_error err = {0};
    making m = {0};

    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--folder=", 9) == 0) {
            m.folder = argv[i] + 9;
        } else if (strcmp(argv[i], "--folder") == 0 && i + 1 < argc) {
            m.folder = argv[++i];
        } else if (argv[i][0] != '-' && count < 2) {
            words[count++] = argv[i];
        } else {
            return il_plugin_wrong("cannot use ", argv[i]);
        }
    }
    if (count < 2 || !is_kind(words[0])) {
        return il_plugin_wrong(
            "expected model, dataset, environment or detector, and a name", "");
    }
    m.kind = words[0];
    if (take_id(&m, words[1], &err) != IL_OK) {
        return il_plugin_complain(&err);
    }
    if (m.folder == NULL) {
        m.folder = m.name;
    }
    if (write_all(&m, &err) != IL_OK) {
        return il_plugin_complain(&err);
    }
    printf("wrote the %s %s.%s into %s; try\n\n  cd %s && make && make test\n", m.kind,
           m.space, m.name, m.folder, m.folder);
    return 0;
}
