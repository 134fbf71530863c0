/* interloop tokenize: text to tokens and back, to look at a tokenizer. */
#include "verbs.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "formats/tokenizer.h"
#include "pipeline/tokens.h"

static const char usage[] =
    "usage: interloop tokenize --tokenizer PATH [OPTION]... [FILE]\n"
    "\n"
    "  Tokenizes FILE, or what comes in, line by line (a line's end belongs to none), and\n"
    "  prints a line for each. PATH is a tokenizer.json or a folder that holds one.\n"
    "\n"
    "  --ids        the ids (what is printed without any of these)\n"
    "  --tokens     the tokens as the file spells them, as a JSON list\n"
    "  --spans      ids with the bytes that they stand for, ID:FIRST-LAST\n"
    "  --decode     reads lines of ids, and prints their text\n"
    "  --chat       reads lines of JSON, each a list of messages with role and content, or an\n"
    "               object with `messages`, `tools`, `date` (2024-07-26) and whatever else the\n"
    "               template asks for, and prints what it writes, as JSON; --prompt: with the\n"
    "               beginning of an answer\n"
    "  --whole      takes all that comes in as one text\n"
    "  --special    with the tokens that the post-processor puts around a text; with\n"
    "               --decode they are printed, where they are otherwise left out\n"
    "\n"
    "Exit codes: 0 well, 1 failed, 2 wrong input.\n";

enum { TEXT_MAX = 1 << 30 };

typedef struct request {
    const char *tokenizer;
    const char *file;
    char form; /* of --ids, --tokens, --spans, --decode, --chat: its first letter */
    bool whole;
    bool special;
    bool prompt;
    bool quiet; /* prints nothing: to be timed */
} request;

static void print_quoted(const char *text, size_t size)
{
    putchar('"');
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '"' || c == '\\') {
            putchar('\\');
            putchar(c);
        } else if (c < 0x20) {
            printf("\\u%04x", c);
        } else {
            putchar(c);
        }
    }
    putchar('"');
}

static void print_encoding(const il_tokenizer *t, const il_encoding *e, char form)
{
    if (form == 't') {
        putchar('[');
    }
    for (size_t i = 0; i < e->count; i++) {
        size_t size = 0;
        const char *token = il_tokenizer_token(t, e->ids[i], &size);

        if (form == 't') {
            fputs(i > 0 ? ", " : "", stdout);
            print_quoted(token, size);
        } else if (form == 's') {
            printf("%s%" PRId32 ":%" PRIu32 "-%" PRIu32, i > 0 ? " " : "", e->ids[i],
                   e->spans[i].first, e->spans[i].last);
        } else {
            printf("%s%" PRId32, i > 0 ? " " : "", e->ids[i]);
        }
    }
    puts(form == 't' ? "]" : "");
}

/* Whole numbers with white space between; the line ends with a NUL. */
static il_status read_ids(const char *line, il_encoding *ids, const char *where,
                          il_error *err)
{
    char *end;

    ids->count = 0;
    for (;;) {
        long long id;

        line += strspn(line, " \t\r");
        if (*line == '\0') {
            return IL_OK;
        }
        id = strtoll(line, &end, 10);
        if (end == line || id < 0 || id > INT32_MAX) {
            return il_error_set(err, IL_ERR_INPUT, where, "expected ids, got '%.20s'",
                                line);
        }
        if (ids->count == ids->room) {
            size_t room = ids->room == 0 ? 256 : ids->room * 2;
            int32_t *more = realloc(ids->ids, room * sizeof *more);

            if (more == NULL) {
                return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
            }
            ids->ids = more;
            ids->room = room;
        }
        ids->ids[ids->count++] = (int32_t)id;
        line = end;
    }
}

/* A line's messages through the template. */
static il_status converse(const request *r, const il_tokens *t, const char *line,
                          size_t size, il_error *err)
{
    size_t room = size + 65536;
    size_t length = 0;
    char *out = malloc(room);
    il_status status =
        out != NULL ? il_tokens_conversation(t, line, size, r->prompt, room, out, NULL,
                                             NULL, &length, err)
                    : il_error_set(err, IL_ERR_MEMORY, "--chat", "out of memory");

    if (status == IL_OK && length > room) {
        char *more = realloc(out, length);

        room = length;
        out = more != NULL ? more : out;
        status = more != NULL
                     ? il_tokens_conversation(t, line, size, r->prompt, room, out, NULL,
                                              NULL, &length, err)
                     : il_error_set(err, IL_ERR_MEMORY, "--chat", "out of memory");
    }
    if (status == IL_OK) {
        print_quoted(out, length);
        putchar('\n');
    }
    free(out);
    return status;
}

static il_status all_chats(const request *r, const char *text, size_t size,
                           il_error *err)
{
    il_tokens *t = NULL;
    il_status status = il_tokens_open(&t, r->tokenizer, err);

    for (size_t i = 0; status == IL_OK && i < size;) {
        const char *end = memchr(text + i, '\n', size - i);
        size_t length = end != NULL ? (size_t)(end - text) - i : size - i;

        status = converse(r, t, text + i, length, err);
        i += length + 1;
    }
    il_tokens_close(t);
    return status;
}

static il_status one(const request *r, const il_tokenizer *t, il_tokenizer_work *w,
                     char *text, size_t size, il_encoding *e, il_error *err)
{
    il_text out = {0};
    il_status status;

    if (r->form != 'd') {
        IL_TRY(il_tokenizer_encode(t, w, text, size, r->special, e, err));
        if (!r->quiet) {
            print_encoding(t, e, r->form);
        }
        return IL_OK;
    }
    text[size] = '\0';
    IL_TRY(read_ids(text, e, "--decode", err));
    status = il_tokenizer_decode(t, e->ids, e->count, !r->special, &out, err);
    if (status == IL_OK) {
        fwrite(out.data != NULL ? out.data : "", 1, out.size, stdout);
        putchar('\n');
    }
    il_text_free(&out);
    return status;
}

static il_status all(const request *r, const il_tokenizer *t, char *text, size_t size,
                     il_error *err)
{
    il_tokenizer_work *w = NULL;
    il_encoding e = {0};
    il_status status = il_tokenizer_work_create(&w, t, err);

    for (size_t i = 0; status == IL_OK && i < size;) {
        char *end = r->whole ? NULL : memchr(text + i, '\n', size - i);
        size_t length = end != NULL ? (size_t)(end - text) - i : size - i;

        status = one(r, t, w, text + i, length, &e, err);
        i += length + 1;
    }
    il_encoding_free(&e);
    il_tokenizer_work_destroy(w);
    return status;
}

static il_status read_all(FILE *in, const char *name, char **text, size_t *size,
                          il_error *err)
{
    il_text all_text = {0};
    char piece[65536];
    size_t n;

    while ((n = fread(piece, 1, sizeof piece, in)) > 0) {
        il_text_add_bytes(&all_text, piece, n);
        if (all_text.size > TEXT_MAX) {
            il_text_free(&all_text);
            return il_error_set(err, IL_ERR_INPUT, name, "more than 1 GiB at once");
        }
    }
    if (all_text.failed || ferror(in)) {
        il_text_free(&all_text);
        return il_error_set(err, IL_ERR_IO, name, "cannot be read");
    }
    il_text_add_bytes(&all_text, "", 0);
    *text = all_text.data != NULL ? all_text.data : calloc(1, 1);
    *size = all_text.size;
    return IL_OK;
}

static int answer(const request *r)
{
    il_tokenizer *t = NULL;
    char *text = NULL;
    size_t size = 0;
    il_error err = {0};
    il_status status = il_tokenizer_open(&t, r->tokenizer, &err);

    if (status == IL_OK) {
        fputs(il_tokenizer_notes(t), stderr);
        status = r->file != NULL
                     ? il_file_read(r->file, TEXT_MAX, &text, &size, &err)
                     : read_all(stdin, "standard input", &text, &size, &err);
    }
    if (status == IL_OK) {
        status = r->form == 'c' ? all_chats(r, text, size, &err)
                                : all(r, t, text, size, &err);
    }
    if (status == IL_OK && fflush(stdout) != 0) {
        status = il_error_set(&err, IL_ERR_IO, "standard output", "cannot be written");
    }
    free(text);
    il_tokenizer_close(t);
    if (status == IL_OK) {
        return 0;
    }
    fprintf(stderr, "%s: error: %s\n", err.where, err.message);
    return status == IL_ERR_INPUT || status == IL_ERR_UNSUPPORTED ? 2 : 1;
}

int il_verb_tokenize(int argc, char **argv)
{
    static const struct option known[] = {
        {"tokenizer", required_argument, NULL, 'T'},
        {"ids", no_argument, NULL, 'i'},
        {"tokens", no_argument, NULL, 't'},
        {"spans", no_argument, NULL, 's'},
        {"decode", no_argument, NULL, 'd'},
        {"whole", no_argument, NULL, 'w'},
        {"special", no_argument, NULL, 'S'},
        {"chat", no_argument, NULL, 'c'},
        {"prompt", no_argument, NULL, 'p'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    request r = {.form = 'i'};
    int c;

    optind = 1;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (c) {
        case 'T':
            r.tokenizer = optarg;
            break;
        case 'w':
            r.whole = true;
            break;
        case 'S':
            r.special = true;
            break;
        case 'p':
            r.prompt = true;
            break;
        case 'q':
            r.quiet = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        case '?':
            fprintf(stderr, "interloop tokenize: cannot use %s\n%s", argv[optind - 1],
                    usage);
            return 2;
        default:
            r.form = (char)c;
        }
    }
    r.file = optind < argc ? argv[optind++] : NULL;
    if (optind < argc || r.tokenizer == NULL) {
        fprintf(stderr, "interloop tokenize: %s\n%s",
                optind < argc ? "expected one file at most" : "expected --tokenizer",
                usage);
        return 2;
    }
    return answer(&r);
}
