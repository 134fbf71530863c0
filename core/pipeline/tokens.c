#include "pipeline/tokens.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "base/hash.h"
#include "formats/chat.h"
#include "formats/tokenizer.h"

enum { IDLE_MAX = 64, CONFIG_MAX = 4 << 20 };

typedef struct tokens {
    il_tokens base; /* first: what a plugin is handed */
    il_tokenizer *tokenizer;
    il_chat *chat;    /* NULL: see `no_chat` */
    il_error no_chat; /* why there is none */
    char hash[IL_HASH_HEX];
    pthread_mutex_t lock; /* of what follows */
    il_tokenizer_work *idle[IDLE_MAX];
    size_t idle_count;
} tokens;

static tokens *tokens_of(const il_tokens *t)
{
    return (tokens *)(uintptr_t)t;
}

/* ---- one worker's memory -------------------------------------------------------- */

static il_status work_take(tokens *t, il_tokenizer_work **out, il_error *err)
{
    *out = NULL;
    pthread_mutex_lock(&t->lock);
    if (t->idle_count > 0) {
        *out = t->idle[--t->idle_count];
    }
    pthread_mutex_unlock(&t->lock);
    return *out != NULL ? IL_OK : il_tokenizer_work_create(out, t->tokenizer, err);
}

static void work_give(tokens *t, il_tokenizer_work *w)
{
    pthread_mutex_lock(&t->lock);
    if (t->idle_count < IDLE_MAX) {
        t->idle[t->idle_count++] = w;
        w = NULL;
    }
    pthread_mutex_unlock(&t->lock);
    il_tokenizer_work_destroy(w);
}

/* ---- slots ---------------------------------------------------------------------- */

static int64_t tokens_size(const il_tokens *t)
{
    return il_tokenizer_size(tokens_of(t)->tokenizer);
}

static int32_t tokens_find(const il_tokens *t, const char *token, size_t size)
{
    return il_tokenizer_find(tokens_of(t)->tokenizer, token, size);
}

static const char *tokens_hash(const il_tokens *t)
{
    return tokens_of(t)->hash;
}

static il_status tokens_encode(const il_tokens *t, const char *text, size_t size,
                               bool special, int64_t room, int32_t *ids,
                               uint32_t *firsts, uint32_t *lasts, int64_t *count,
                               il_error *err)
{
    tokens *k = tokens_of(t);
    il_tokenizer_work *w;
    il_encoding e = {0};
    il_status status;

    IL_TRY(work_take(k, &w, err));
    status = il_tokenizer_encode(k->tokenizer, w, text, size, special, &e, err);
    for (size_t i = 0; status == IL_OK && i < e.count && (int64_t)i < room; i++) {
        ids[i] = e.ids[i];
        if (firsts != NULL) {
            firsts[i] = e.spans[i].first;
        }
        if (lasts != NULL) {
            lasts[i] = e.spans[i].last;
        }
    }
    *count = (int64_t)e.count;
    il_encoding_free(&e);
    work_give(k, w);
    return status;
}

static il_status tokens_decode(const il_tokens *t, const int32_t *ids, int64_t count,
                               bool skip, char *out, size_t room, size_t *size,
                               il_error *err)
{
    il_text text = {0};
    il_status status = il_tokenizer_decode(tokens_of(t)->tokenizer, ids, (size_t)count,
                                           skip, &text, err);

    if (status == IL_OK) {
        *size = text.size;
        if (text.size > 0 && room > 0) {
            memcpy(out, text.data, text.size < room ? text.size : room);
        }
    }
    il_text_free(&text);
    return status;
}

/* Copies what a template wrote, as far as there is room. */
static void copy_text(const il_chat_text *text, size_t room, char *out,
                      int32_t *turn_of, int32_t *place_of, size_t *size)
{
    size_t n = text->size < room ? text->size : room;

    *size = text->size;
    if (n > 0) {
        memcpy(out, text->data, n);
    }
    if (n > 0 && turn_of != NULL) {
        memcpy(turn_of, text->turns, n * sizeof *turn_of);
    }
    if (n > 0 && place_of != NULL) {
        memcpy(place_of, text->places, n * sizeof *place_of);
    }
}

static il_status tokens_chat(const il_tokens *t, const il_turn *turns, int64_t count,
                             bool prompt, size_t room, char *out, int32_t *turn_of,
                             size_t *size, il_error *err)
{
    const tokens *k = tokens_of(t);
    il_chat_text text = {0};
    il_status status;

    if (k->chat == NULL) {
        return il_error_set(err, k->no_chat.code, k->no_chat.where, "%s",
                            k->no_chat.message);
    }
    status = il_chat_render(k->chat, turns, (size_t)count, prompt, &text, err);
    if (status == IL_OK) {
        copy_text(&text, room, out, turn_of, NULL, size);
    }
    il_chat_text_free(&text);
    return status;
}

static il_status tokens_conversation(const il_tokens *t, const char *json,
                                     size_t json_size, bool prompt, size_t room,
                                     char *out, int32_t *turn_of, int32_t *place_of,
                                     size_t *size, il_error *err)
{
    const tokens *k = tokens_of(t);
    il_chat_text text = {0};
    il_status status;

    if (k->chat == NULL) {
        return il_error_set(err, k->no_chat.code, k->no_chat.where, "%s",
                            k->no_chat.message);
    }
    status = il_chat_render_json(k->chat, json, json_size, prompt, &text, err);
    if (status == IL_OK) {
        copy_text(&text, room, out, turn_of, place_of, size);
    }
    il_chat_text_free(&text);
    return status;
}

static const il_tokens_api tokens_api = {
    .struct_size = sizeof tokens_api,
    .size = tokens_size,
    .find = tokens_find,
    .hash = tokens_hash,
    .encode = tokens_encode,
    .decode = tokens_decode,
    .chat = tokens_chat,
    .conversation = tokens_conversation,
};

/* ---- the chat template ---------------------------------------------------------- */

/* A special token of the configuration: its text, or an object that has it. */
static const char *special_text(const json_t *config, const char *key)
{
    const json_t *v = json_object_get(config, key);

    v = json_is_object(v) ? json_object_get(v, "content") : v;
    return json_string_value(v);
}

/* The template of a configuration: text, or of several by name the one that is called
 * default. */
static const char *template_of(const json_t *config)
{
    const json_t *v = json_object_get(config, "chat_template");

    for (size_t i = 0; json_is_array(v) && i < json_array_size(v); i++) {
        const json_t *one = json_array_get(v, i);
        const char *name = json_string_value(json_object_get(one, "name"));

        if (name != NULL && strcmp(name, "default") == 0) {
            return json_string_value(json_object_get(one, "template"));
        }
    }
    return json_string_value(v);
}

/* Gives the template the other special tokens by name, as `transformers` does. */
static il_status name_specials(il_chat *chat, const json_t *config)
{
    static const char *const names[] = {"unk_token", "sep_token", "pad_token",
                                        "cls_token", "mask_token"};
    il_status status = IL_OK;

    for (size_t i = 0; status == IL_OK && i < sizeof names / sizeof names[0]; i++) {
        const char *text = special_text(config, names[i]);

        if (text != NULL) {
            status = il_chat_name(chat, names[i], text, NULL);
        }
    }
    return status;
}

/* Finds the template beside a tokenizer and reads it; why there is none stays in
 * `no_chat`. Only want of memory is a failure. */
static il_status find_chat(tokens *t, const char *folder)
{
    char *config_path = il_path_join(folder, "tokenizer_config.json");
    char *own_path = il_path_join(folder, "chat_template.jinja");
    char *text = NULL;
    char *own = NULL;
    size_t size = 0;
    size_t own_size = 0;
    json_t *config = NULL;
    const char *words = NULL;
    const char *where = config_path;
    il_status status = IL_OK;

    if (config_path == NULL || own_path == NULL) {
        status = IL_ERR_MEMORY;
    } else if (il_file_exists(config_path) &&
               il_file_read(config_path, CONFIG_MAX, &text, &size, NULL) == IL_OK) {
        config = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
        words = template_of(config);
    }
    if (status == IL_OK && il_file_exists(own_path) &&
        il_file_read(own_path, CONFIG_MAX, &own, &own_size, NULL) == IL_OK) {
        words = own;
        where = own_path;
    }
    if (status == IL_OK && words == NULL) {
        (void)il_error_set(
            &t->no_chat, IL_ERR_UNSUPPORTED, folder,
            "there is no chat template: expected chat_template.jinja, or "
            "`chat_template` in tokenizer_config.json");
    } else if (status == IL_OK) {
        status = il_chat_parse(&t->chat, words, strlen(words), where,
                               special_text(config, "bos_token"),
                               special_text(config, "eos_token"), &t->no_chat);
        status = status == IL_ERR_MEMORY ? status : IL_OK;
        if (status == IL_OK && t->chat != NULL) {
            status = name_specials(t->chat, config);
        }
    }
    json_decref(config);
    free(text);
    free(own);
    free(config_path);
    free(own_path);
    return status;
}

il_status il_tokens_open(il_tokens **out, const char *path, il_error *err)
{
    tokens *t = calloc(1, sizeof *t);
    char *inside = il_path_join(path, "tokenizer.json");
    char *folder =
        inside != NULL && il_file_exists(inside) ? strdup(path) : il_path_folder(path);
    il_status status =
        t != NULL && inside != NULL && folder != NULL ? IL_OK : IL_ERR_MEMORY;

    if (t != NULL) {
        t->base.api = &tokens_api;
        pthread_mutex_init(&t->lock, NULL);
    }
    if (status == IL_OK) {
        status = il_tokenizer_open(&t->tokenizer, path, err);
    }
    if (status == IL_OK) {
        status = find_chat(t, folder);
    }
    if (status == IL_OK) {
        il_hash *h = il_hash_create();

        if (h == NULL) {
            status = IL_ERR_MEMORY;
        } else {
            il_hash_text(h, il_tokenizer_hash(t->tokenizer));
            il_hash_text(h, t->chat != NULL ? il_chat_source(t->chat) : NULL);
            il_hash_done(h, t->hash);
        }
    }
    free(inside);
    free(folder);
    if (status != IL_OK) {
        il_tokens_close(t != NULL ? &t->base : NULL);
        return il_error_set(err, status, path, "out of memory");
    }
    *out = &t->base;
    return IL_OK;
}

void il_tokens_close(il_tokens *base)
{
    tokens *t = base != NULL ? tokens_of(base) : NULL;

    if (t != NULL) {
        for (size_t i = 0; i < t->idle_count; i++) {
            il_tokenizer_work_destroy(t->idle[i]);
        }
        pthread_mutex_destroy(&t->lock);
        il_chat_free(t->chat);
        il_tokenizer_close(t->tokenizer);
        free(t);
    }
}
