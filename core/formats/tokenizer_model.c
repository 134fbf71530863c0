/* The models' common part, the vocabulary, and the two models that are little more:
 * WordPiece, the longest known beginning again and again, and WordLevel. */
#include "formats/tokenizer_private.h"

#include <string.h>

static il_status read_vocabulary(il_token_reader *r, const json_t *model)
{
    json_t *vocab = json_object_get(model, "vocab");
    il_vocabulary *v = &r->t->model.vocabulary;
    int64_t size = 0;
    const char *key;
    json_t *value;

    if (!json_is_object(vocab)) {
        return il__token_refuse(r, IL_ERR_INPUT,
                                "vocab: expected tokens with their ids");
    }
    json_object_foreach(vocab, key, value)
    {
        json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;

        if (id < 0 || id >= IL_VOCABULARY_MAX) {
            return il__token_refuse(
                r, IL_ERR_INPUT, "vocab: token '%.64s': expected an id from 0 to %lld",
                key, (long long)IL_VOCABULARY_MAX - 1);
        }
        size = id >= size ? (int64_t)id + 1 : size;
    }
    if (!il__vocabulary_open(v, json_object_size(vocab), size)) {
        return il__token_memory(r);
    }
    json_object_foreach(vocab, key, value)
    {
        int32_t id = (int32_t)json_integer_value(value);

        if (il__vocabulary_add(v, key, strlen(key), id) >= 0) {
            return il__token_refuse(r, IL_ERR_INPUT,
                                    "vocab: id %d is that of '%.64s' and of '%.64s'",
                                    id, v->names[id].text, key);
        }
    }
    return IL_OK;
}

il_status il__token_read_model(il_token_reader *r, const json_t *root)
{
    const json_t *o = json_object_get(root, "model");
    il_token_model *m = &r->t->model;
    const char *type = json_string_value(json_object_get(o, "type"));
    il_words unknown = {0};

    (void)snprintf(r->place, sizeof r->place, "model");
    if (type == NULL && json_is_object(o) && json_object_get(o, "merges") != NULL) {
        type = "BPE"; /* the oldest files leave it out */
    }
    if (type == NULL) {
        return il__token_refuse(r, IL_ERR_INPUT,
                                "expected an object with its \"type\"");
    }
    if (strcmp(type, "BPE") == 0) {
        m->kind = IL_MODEL_BPE;
    } else if (strcmp(type, "WordPiece") == 0) {
        m->kind = IL_MODEL_WORDPIECE;
    } else if (strcmp(type, "WordLevel") == 0) {
        m->kind = IL_MODEL_WORDLEVEL;
    } else {
        return il__token_refuse(r, IL_ERR_UNSUPPORTED,
                                "'%.64s': expected BPE, WordPiece or WordLevel", type);
    }
    IL_TRY(read_vocabulary(r, o));
    IL_TRY(il__token_text(r, o, "unk_token", &unknown));
    m->unknown = unknown.text == NULL
                     ? -1
                     : il__vocabulary_find(&m->vocabulary, unknown.text, unknown.size);
    if (unknown.text != NULL && m->unknown < 0) {
        return il__token_refuse(r, IL_ERR_INPUT, "unk_token '%.64s' is not in vocab",
                                unknown.text);
    }
    if (m->kind == IL_MODEL_BPE) {
        IL_TRY(il__token_read_bpe(r, o));
    } else if (m->unknown < 0) {
        return il__token_refuse(r, IL_ERR_INPUT, "expected an unk_token");
    }
    m->word_max = 100;
    if (m->kind == IL_MODEL_WORDPIECE) {
        m->prefix = (il_words){"##", 2};
        IL_TRY(il__token_text(r, o, "continuing_subword_prefix", &m->prefix));
        IL_TRY(il__token_whole(r, o, "max_input_chars_per_word", 1, INT32_MAX,
                               &m->word_max));
    }
    /* Bytes may go to the model as they are where it would only have looked their
     * spellings up one by one. */
    r->t->spelled = m->kind == IL_MODEL_BPE && m->prefix.size == 0 &&
                    m->suffix.size == 0 && !m->byte_fallback &&
                    r->t->splitter_count > 0 &&
                    r->t->splitters[r->t->splitter_count - 1].kind == IL_SPLITTER_BYTES;
    for (int b = 0; b < 256; b++) {
        r->t->spelled = r->t->spelled && m->byte_ids[b] >= 0;
    }
    return IL_OK;
}

/* The longest token at the beginning of a word's rest; its id, and its bytes in *size.
 */
static int32_t longest(const il_token_model *m, il_tokenizer_work *w, const char *rest,
                       uint32_t *size, bool first)
{
    for (uint32_t end = *size; end > 0;) {
        int32_t id;

        w->word.size = 0;
        if (!first) {
            il_text_add_bytes(&w->word, m->prefix.text, m->prefix.size);
        }
        il_text_add_bytes(&w->word, rest, end);
        if (w->word.failed) {
            return -1;
        }
        id = il__vocabulary_find(&m->vocabulary, w->word.data, w->word.size);
        if (id >= 0) {
            *size = end;
            return id;
        }
        do {
            end--;
        } while (end > 0 && ((unsigned char)rest[end] & 0xc0) == 0x80);
    }
    return -1;
}

il_status il__token_wordpiece(const il_tokenizer *t, il_tokenizer_work *w,
                              const char *word, uint32_t size, il_error *err)
{
    const il_token_model *m = &t->model;
    int64_t characters = 0;

    w->symbol_count = 0;
    for (uint32_t i = 0; i < size; i++) {
        characters += ((unsigned char)word[i] & 0xc0) != 0x80;
    }
    if (m->kind == IL_MODEL_WORDLEVEL) {
        int32_t id = il__vocabulary_find(&m->vocabulary, word, size);

        return il__token_symbol(w, id >= 0 ? id : m->unknown, size, err);
    }
    for (uint32_t at = 0; at < size && characters <= m->word_max;) {
        uint32_t taken = size - at;
        int32_t id = longest(m, w, word + at, &taken, at == 0);

        if (w->word.failed) {
            return il_error_set(err, IL_ERR_MEMORY, "tokenizer", "out of memory");
        }
        if (id < 0) {
            w->symbol_count = 0;
            break;
        }
        IL_TRY(il__token_symbol(w, id, taken, err));
        at += taken;
    }
    return w->symbol_count > 0 ? IL_OK : il__token_symbol(w, m->unknown, size, err);
}
