/* interloop bundle: plugins as files that other labs can check and install. */
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "plain.h"
#include "base/files.h"
#include "bundle/store.h"
#include "base/text.h"
#include "plugin/version.h"

static const char usage[] =
    "usage: interloop bundle pack PLUGIN.so... [--file NAME=PATH]... [--key SECRET "
    "[--password-file F]] [--signature FILE] [--out FILE]\n"
    "       interloop bundle verify FILE [--key PUBLIC]... [--unsigned]\n"
    "       interloop bundle install FILE [--key PUBLIC]... [--unsigned]\n"
    "       interloop bundle list [--json]\n"
    "       interloop bundle trust PUBLIC\n"
    "       interloop bundle key NAME\n"
    "\n"
    "  pack     puts a stamped plugin (one file for each kind of machine) into one file, "
    "ID-VERSION.ilb,\n"
    "           with its manifest, the schemas of its params, README.md, LICENSE and\n"
    "           example.yaml from its folder where they are there, what --file names, the\n"
    "           hashes of all of them, and a signature\n"
    "  verify   checks a bundle without running anything of it\n"
    "  install  checks it and puts the plugin where every pipeline finds it\n"
    "  list     says what is installed, and who signed it\n"
    "  trust    adds public keys to those that are trusted\n"
    "  key      makes a key pair, NAME.pub and NAME.key, the latter not encrypted\n"
    "\n"
    "  A bundle is a zip archive: after unpacking, `sha256sum -c SHA256SUMS` and\n"
    "  `minisign -Vm SHA256SUMS -p KEY.pub` check it without this program.\n"
    "  --key PUBLIC   a key to be trusted for this once\n"
    "  --unsigned     takes a bundle that no trusted key signed\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 wrong input.\n";

enum { WORDS = 256, PASSWORD_LIMIT = 1024, TEXT_LIMIT = 1 << 20 };

typedef struct options {
    const char *words[WORDS];
    size_t word_count;
    const char *keys[WORDS];
    size_t key_count;
    il_bundle_file files[WORDS];
    size_t file_count;
    const char *password_file;
    const char *signature;
    const char *out;
    bool is_unsigned;
    bool json;
    char *made[WORDS]; /* texts to be freed */
    size_t made_count;
} options;

static int wrong(const char *what, const char *detail)
{
    fprintf(stderr, "interloop bundle: %s%s\n%s", what, detail, usage);
    return 2;
}

static int complain(const il_error *err)
{
    il_put_error(err);
    return err->code == IL_ERR_INPUT ? 2 : 1;
}

static char *keep(options *o, char *text)
{
    if (text != NULL && o->made_count < WORDS) {
        o->made[o->made_count++] = text;
    }
    return text;
}

/* NAME=PATH; 0, or the exit code. */
static int take_file(options *o, const char *word)
{
    const char *equals = strchr(word, '=');
    char *name =
        equals != NULL ? keep(o, strndup(word, (size_t)(equals - word))) : NULL;

    if (name == NULL || name[0] == '\0') {
        return wrong("expected NAME=PATH after --file, found ", word);
    }
    o->files[o->file_count].name = name;
    o->files[o->file_count++].path = equals + 1;
    return 0;
}

static int parse(int argc, char **argv, options *o)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        const char **text = strcmp(word, "--password-file") == 0 ? &o->password_file
                            : strcmp(word, "--signature") == 0   ? &o->signature
                            : strcmp(word, "--out") == 0         ? &o->out
                                                                 : NULL;
        bool key = strcmp(word, "--key") == 0;
        bool file = strcmp(word, "--file") == 0;

        if (text != NULL || key || file) {
            if (++i == argc) {
                return wrong(word, " needs a word after it");
            }
            if (text != NULL) {
                *text = argv[i];
            } else if (key) {
                o->keys[o->key_count++] = argv[i];
            } else if (take_file(o, argv[i]) != 0) {
                return 2;
            }
        } else if (strcmp(word, "--unsigned") == 0) {
            o->is_unsigned = true;
        } else if (strcmp(word, "--json") == 0) {
            o->json = true;
        } else if (word[0] == '-') {
            return wrong("unknown option ", word);
        } else {
            o->words[o->word_count++] = word;
        }
    }
    return 0;
}

/* ---- pack ----------------------------------------------------------------------- */

static bool has_file(const options *o, const char *name)
{
    for (size_t i = 0; i < o->file_count; i++) {
        if (strcmp(o->files[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* The usual files of a plugin's folder, unless --file named others. */
static void add_usual(options *o)
{
    static const char *const usual[] = {"README.md", "LICENSE", "example.yaml"};
    char *folder = keep(o, il_path_folder(o->words[0]));

    for (size_t i = 0; folder != NULL && i < 3; i++) {
        char *path = keep(o, il_path_join(folder, usual[i]));

        if (path != NULL && !has_file(o, usual[i]) && il_file_exists(path)) {
            o->files[o->file_count].name = usual[i];
            o->files[o->file_count++].path = path;
        }
    }
}

static il_status read_key(options *o, il_secret_key *key, il_error *err)
{
    char *password = NULL;
    char *text = NULL;
    size_t size;
    il_status status = IL_OK;

    if (o->password_file != NULL) {
        IL_TRY(il_file_read(o->password_file, PASSWORD_LIMIT, &password, &size, err));
        password[strcspn(password, "\r\n")] = '\0';
    }
    status = il_file_read(o->keys[0], TEXT_LIMIT, &text, &size, err);
    if (status == IL_OK) {
        status = il_secret_key_read(text, o->keys[0], password, key, err);
    }
    il_secret_text_wipe(text);
    il_secret_text_wipe(password);
    free(text);
    free(password);
    return status;
}

/* "lab.mine-1.0.0.ilb", from the bundle that was just written. */
static il_status default_name(options *o, const char *path, il_error *err)
{
    il_bundle b;
    il_text name = {0};
    il_status status = il_bundle_open(&b, path, err);

    if (status != IL_OK) {
        return status;
    }
    il_text_addf(&name, "%s-%s.ilb", b.id, b.version);
    il_bundle_close(&b);
    o->out = keep(o, name.data);
    if (o->out == NULL || name.failed || rename(path, o->out) != 0) {
        (void)unlink(path); /* nobody would know it by this name */
        return il_error_set(err, IL_ERR_IO, path, "cannot be given its name");
    }
    return IL_OK;
}

static int pack(options *o)
{
    il_bundle_recipe recipe = {
        .libraries = o->words, .library_count = o->word_count, .files = o->files};
    il_secret_key key;
    il_error err = {0};
    size_t size;
    char *text = NULL;
    const char *path = o->out != NULL ? o->out : "bundle.ilb.part";
    il_status status = IL_OK;

    if (o->word_count == 0 || o->key_count > 1) {
        return wrong(o->word_count == 0 ? "which plugin?" : "one secret key at a time",
                     "");
    }
    add_usual(o);
    recipe.file_count = o->file_count;
    if (o->signature != NULL) {
        status = il_file_read(o->signature, TEXT_LIMIT, &text, &size, &err);
        recipe.signature = keep(o, text);
    } else if (o->key_count == 1) {
        status = read_key(o, &key, &err);
        recipe.key = &key;
    }
    if (status == IL_OK) {
        status = il_bundle_pack(path, &recipe, NULL, &err);
    }
    if (recipe.key != NULL) {
        il_secret_key_wipe(&key);
    }
    if (status == IL_OK && o->out == NULL) {
        status = default_name(o, path, &err);
    }
    if (status != IL_OK) {
        return complain(&err);
    }
    printf("%s\n", o->out);
    return 0;
}

/* ---- verify, install ------------------------------------------------------------ */

/* The keys of the options and those of the user. */
static il_status all_keys(const options *o, il_public_key *keys, size_t *count,
                          il_error *err)
{
    IL_TRY(il_store_keys_read(keys, count, err));
    for (size_t i = 0; i < o->key_count; i++) {
        char *text = NULL;
        size_t size;
        size_t more = 0;
        il_status status;

        IL_TRY(il_file_read(o->keys[i], TEXT_LIMIT, &text, &size, err));
        status = il_public_keys_read(text, o->keys[i], keys + *count,
                                     IL_MINISIGN_KEYS - *count, &more, err);
        free(text);
        IL_TRY(status);
        *count += more;
    }
    return IL_OK;
}

static const char *text_of(const json_t *o, const char *key)
{
    return il_plain(json_string_value(json_object_get(o, key)));
}

/* Opens and judges; prints what was found. */
static il_status judge(const options *o, il_bundle *b, il_error *err)
{
    il_public_key *keys = calloc(IL_MINISIGN_KEYS, sizeof *keys);
    const il_public_key *signer;
    const json_t *plugin;
    size_t count = 0;
    char name[17];
    il_status status = keys != NULL ? all_keys(o, keys, &count, err)
                                    : il_error_set(err, IL_ERR_MEMORY, "",
                                                   "out of "
                                                   "memory");

    if (status == IL_OK) {
        status = il_bundle_open(b, o->words[0], err);
    }
    if (status != IL_OK) {
        free(keys);
        return status;
    }
    plugin = json_object_get(b->about, "plugin");
    signer = il_bundle_signer(b, keys, count);
    printf("%s %s, %s, by %s: %s\n", b->id, b->version, text_of(plugin, "licence"),
           text_of(plugin, "author"), text_of(plugin, "summary"));
    printf("  %zu files, each as its hash says\n", il_zip_count(b->zip));
    if (b->is_signed) {
        il_key_name(b->signature.id, name);
    }
    if (signer != NULL) {
        printf("  signed by %s, which is trusted\n", name);
    } else if (b->is_signed) {
        printf("  signed by %s, which is not trusted\n", name);
    } else {
        puts("  not signed");
    }
    if (signer == NULL && !o->is_unsigned) {
        status =
            il_error_set(err, IL_ERR_INPUT, o->words[0],
                         "no trusted key signed it: interloop bundle trust KEY.pub "
                         "once you know whose it is, or --unsigned");
        il_bundle_close(b);
    }
    free(keys);
    return status;
}

static int verify(options *o)
{
    il_error err = {0};
    il_bundle b;

    if (judge(o, &b, &err) != IL_OK) {
        return complain(&err);
    }
    il_bundle_close(&b);
    return 0;
}

static int install(options *o)
{
    il_error err = {0};
    il_bundle b;
    il_status status = judge(o, &b, &err);
    char *before;

    if (status != IL_OK) {
        return complain(&err);
    }
    before = il_store_version(b.id);
    status = il_store_install(&b, &err);
    if (status == IL_OK) {
        printf("installed %s %s\n", b.id, b.version);
    }
    if (status == IL_OK && before != NULL && il_version_older(b.version, before)) {
        fprintf(stderr, "warning: %s was installed, which is newer\n",
                il_plain(before));
    }
    free(before);
    il_bundle_close(&b);
    return status == IL_OK ? 0 : complain(&err);
}

/* ---- list, trust, key ----------------------------------------------------------- */

static int list(options *o)
{
    il_public_key *keys = calloc(IL_MINISIGN_KEYS, sizeof *keys);
    json_t *all = NULL;
    il_error err = {0};
    size_t count = 0;
    il_status status = keys != NULL ? il_store_keys_read(keys, &count, &err)
                                    : il_error_set(&err, IL_ERR_MEMORY, "",
                                                   "out of "
                                                   "memory");

    if (status == IL_OK) {
        status = il_store_list(keys, count, &all, &err);
    }
    free(keys);
    if (status != IL_OK) {
        return complain(&err);
    }
    if (o->json) {
        (void)json_dumpf(all, stdout, JSON_INDENT(1));
        putchar('\n');
    }
    for (size_t i = 0; !o->json && i < json_array_size(all); i++) {
        const json_t *item = json_array_get(all, i);
        const char *signer = text_of(item, "signer");

        printf("%-28s %-10s %-12s %s%s\n", text_of(item, "id"),
               text_of(item, "version"), text_of(item, "licence"),
               json_is_true(json_object_get(item, "changed"))
                   ? "CHANGED since it was installed"
               : signer[0] != '\0' ? "signed by "
                                   : "not signed by a trusted key",
               signer);
    }
    json_decref(all);
    return 0;
}

static int trust(options *o)
{
    il_error err = {0};
    size_t added = 0;

    if (il_store_keys_add(o->words[0], &added, &err) != IL_OK) {
        return complain(&err);
    }
    printf(added > 0 ? "%zu keys added\n" : "%zu keys added: known already\n", added);
    return 0;
}

/* Both files or none: a public key beside a secret one of another pair would be of no
 * use, and look as if it were. */
static int make_key(options *o)
{
    static const char *const ends[] = {".pub", ".key"};
    char *texts[2] = {NULL, NULL};
    char *paths[2] = {NULL, NULL};
    il_error err = {0};
    il_status status = il_key_make(&texts[0], &texts[1], &err);

    for (int i = 0; i < 2 && status == IL_OK; i++) {
        il_text path = {0};

        il_text_addf(&path, "%s%s", o->words[0], ends[i]);
        paths[i] = keep(o, path.data);
        if (path.failed) {
            status = il_error_set(&err, IL_ERR_MEMORY, "key", "out of memory");
        } else if (il_file_exists(paths[i])) {
            status = il_error_set(&err, IL_ERR_INPUT, paths[i], "is there already");
        }
    }
    for (int i = 1; i >= 0 && status == IL_OK; i--) {
        mode_t before = umask(i == 1 ? 077 : 022);

        status = il_file_write(paths[i], texts[i], strlen(texts[i]), &err);
        (void)umask(before);
        if (status == IL_OK) {
            printf("%s\n", paths[i]);
        } else if (i == 0) {
            (void)unlink(paths[1]);
        }
    }
    il_secret_text_wipe(texts[1]);
    free(texts[0]);
    free(texts[1]);
    return status == IL_OK ? 0 : complain(&err);
}

int il_verb_bundle(int argc, char **argv)
{
    static const struct {
        const char *name;
        size_t words; /* exactly; WORDS: any number */
        int (*run)(options *o);
    } verbs[] = {{"pack", WORDS, pack},   {"verify", 1, verify}, {"list", 0, list},
                 {"install", 1, install}, {"trust", 1, trust},   {"key", 1, make_key}};
    const char *verb = argc > 1 ? argv[1] : "";
    options o = {0};
    int code = 2;

    if (strcmp(verb, "--help") == 0 || (argc > 2 && strcmp(argv[2], "--help") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc > WORDS / 2) {
        return wrong("too many words", "");
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verb, verbs[i].name) != 0) {
            continue;
        }
        code = parse(argc - 1, argv + 1, &o);
        if (code == 0 && verbs[i].words != WORDS && o.word_count != verbs[i].words) {
            code = wrong(verb, ": wrong number of words");
        }
        code = code == 0 ? verbs[i].run(&o) : code;
        for (size_t k = 0; k < o.made_count; k++) {
            free(o.made[k]);
        }
        return code;
    }
    return wrong("expected pack, verify, install, list, trust or key, found ",
                 verb[0] != '\0' ? verb : "nothing");
}
