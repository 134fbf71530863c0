#include "plugin/trust.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"

enum { LOCK_LIMIT = 16 << 20 };

bool il_trust_add(il_trust *t, const char *sha256)
{
    char(*grown)[IL_HASH_HEX] = realloc(t->hashes, (t->count + 1) * sizeof *grown);

    if (grown == NULL) {
        return false;
    }
    t->hashes = grown;
    memcpy(t->hashes[t->count], sha256, IL_HASH_HEX - 1);
    t->hashes[t->count++][IL_HASH_HEX - 1] = '\0';
    return true;
}

static bool is_hash(const char *text)
{
    return text != NULL && strlen(text) == IL_HASH_HEX - 1 &&
           strspn(text, "0123456789abcdef") == IL_HASH_HEX - 1;
}

il_status il_trust_read_lock(il_trust *t, const char *path, il_error *err)
{
    char *text = NULL;
    size_t size = 0;
    size_t number = 0;
    il_status status;

    IL_TRY(il_file_read(path, LOCK_LIMIT, &text, &size, err));
    status = strlen(text) == size
                 ? IL_OK
                 : il_error_set(err, IL_ERR_INPUT, path, "expected text, found a zero");
    for (char *line = text; status == IL_OK && *line != '\0'; number++) {
        size_t length = strcspn(line, "\n");
        json_t *json = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
        const char *sha256 = json_string_value(json_object_get(json, "sha256"));

        if (!is_hash(sha256) || !json_is_string(json_object_get(json, "id"))) {
            status =
                il_error_set(err, IL_ERR_INPUT, path,
                             "line %zu: expected a plugin's id and sha256", number + 1);
        } else if (!il_trust_add(t, sha256)) {
            status = il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
        }
        json_decref(json);
        line += length + (line[length] == '\n');
    }
    free(text);
    return status;
}

bool il_trust_has(const il_trust *t, const char *sha256)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->hashes[i], sha256) == 0) {
            return true;
        }
    }
    return false;
}

void il_trust_free(il_trust *t)
{
    if (t != NULL) {
        free(t->hashes);
        free(t->source);
        memset(t, 0, sizeof *t);
    }
}
