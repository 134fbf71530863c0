/* In a model's place, what it left behind: a forward pass that computes nothing and
 * shows, at each site, what shards of activations hold there. It has no parameters, so
 * that nothing can be trained; detectors are fitted and judged as on the model. */
#include "../../harvest.h"

typedef struct harvested {
    harvest_site sites[HARVEST_SITES];
    il_site at[HARVEST_SITES];
    int32_t count;
} harvested;

static const il_param_spec params[] = {
    IL_PARAM_TEXT("folder", NULL, IL_PARAM_PATH | IL_PARAM_REQUIRED,
                  "the folder of shards that the data is of, or one file"),
    IL_PARAM_TEXT("files", "", 0,
                  "which of its files are shards, such as acts_{shard}.npy"),
    IL_PARAM_TEXT("sites", "", 0,
                  "the sites, with commas, NAME or NAME=TENSOR; all acts.NAME when "
                  "empty")};

static il_status harvested_create(const il_setup *s, void **self, il_error *err)
{
    harvested *h = il_setup_new(s, sizeof *h);
    const il_tensors *t = NULL;
    int64_t model = 0;

    if (h == NULL) {
        return IL_ERR_MEMORY;
    }
    IL_TRY(il_setup_tensors(s, &t, il_setup_text(s, "folder"),
                            il_setup_text(s, "files"), err));
    IL_TRY(harvest_sites(t, il_setup_text(s, "sites"), h->sites, &h->count, err));
    for (int32_t i = 0; i < h->count; i++) {
        IL_TRY(il_setup_add_site(s, &h->at[i], h->sites[i].is.name, h->sites[i].width,
                                 err));
    }
    if (il_setup_fact(s, HARVEST_FACT, &model) && model != harvest_model(t)) {
        return il_error_set(err, IL_ERR_INPUT, il_setup_text(s, "folder"),
                            "the data's shards are of other weights than these: name "
                            "the folder that the data is of");
    }
    if (il_tensors_about(t, "model") != NULL) {
        il_setup_note(s, "model", il_tensors_about(t, "model"));
    }
    *self = h;
    return IL_OK;
}

static void harvested_forward(const void *self, il_pass *pass, const il_batch *batch)
{
    const harvested *h = self;

    for (int32_t i = 0; i < h->count; i++) {
        const harvest_site *s = &h->sites[i];
        const il_tensor *x;

        if (!il_hook_wanted(pass, h->at[i])) {
            continue;
        }
        x = il_batch_find(batch, s->field);
        if (x == NULL || x->ndim != 3 || x->shape[2] != s->width) {
            char message[256];

            (void)snprintf(message, sizeof message,
                           "the data has no '%s' of width %lld: it and the model are "
                           "to be of the same shards",
                           s->field, (long long)s->width);
            il_pass_fail(pass, IL_ERR_INPUT, message);
            return;
        }
        (void)il_hook(pass, h->at[i], il_constant(pass, x->ndim, x->shape, il_f32(x)));
    }
}

static const il_model_api api = {.struct_size = sizeof(il_model_api),
                                 .create = harvested_create,
                                 .forward = harvested_forward};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "activations from shards in a model's place",
          IL_MODEL("harvested", "shows at each site what shards hold", &api,
                   IL_PARAMS(params)))
