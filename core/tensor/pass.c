/* A pass: the table that forward code calls, scopes and leaves, and what forward hands
 * over. */
#include "tensor/tape.h"

#include <stdlib.h>
#include <string.h>
#include "base/compiler.h"

enum { ARENA_CHUNK = 4 << 20, KEPT_CHUNK = 1 << 16 };

/* ---- parameters ----------------------------------------------------------------- */

/* A tensor over memory that is not the pass's, its own bitsets to be set by the caller.
 */
static il__tensor *borrow(il_pass *p, int32_t ndim, const int64_t *shape,
                          const float *data)
{
    il__pass *own = il__of(p);
    il__tensor *t = il__bytes(p, sizeof *t);

    if (t == NULL) {
        return NULL;
    }
    *t = own->empty;
    t->pub.data = (void *)(uintptr_t)data; /* no op writes to an input */
    t->pub.ndim = ndim;
    memcpy(t->pub.shape, shape, (size_t)ndim * sizeof *shape);
    t->base = t;
    return t;
}

static il__tensor *make_leaf(il_pass *p, const il__binding *b, int32_t id)
{
    il__pass *own = il__of(p);
    const il_stored *item = &b->store->items[id];
    il__tensor *t = borrow(p, item->ndim, item->shape, b->values[id]);

    if (t != NULL) {
        t->parameter = true;
    }
    if (t != NULL && b->first_bit >= 0) {
        il_word *bits = il__bytes(p, own->words * sizeof *bits);

        if (bits == NULL) {
            return NULL;
        }
        t->bit = b->first_bit + id;
        il_bits_clear(bits, own->words);
        il_bits_set(bits, (size_t)t->bit);
        t->g = bits;
        t->v = bits;
    }
    return t;
}

static il_tensor *api_use(il_pass *p, il_param param)
{
    il__pass *own = il__of(p);
    il__binding *b = own->frame != NULL ? own->frame->binding : NULL;

    if (own->error.code != IL_OK) {
        return il__empty(p);
    }
    if (b == NULL || param.id < 0 || (size_t)param.id >= b->store->count) {
        return il__refuse(p, IL_ERR_INPUT, "use", 0, NULL,
                          "no parameter of handle %d here; use what create "
                          "registered, inside forward",
                          (int)param.id);
    }
    if (b->first_bit >= 0 && (size_t)b->first_bit + (size_t)param.id >= own->bits) {
        return il__refuse(p, IL_ERR_INTERNAL, "use", 0, NULL,
                          "parameter %s has bit %lld of a pass with %zu",
                          b->store->items[param.id].name,
                          (long long)b->first_bit + param.id, own->bits);
    }
    if (b->leaves[param.id] == NULL) {
        b->leaves[param.id] = make_leaf(p, b, param.id);
        if (b->leaves[param.id] == NULL) {
            return il__empty(p);
        }
    }
    return &b->leaves[param.id]->pub;
}

void il_pass_enter(il_pass *p, const il_scope *scope)
{
    il__pass *own = il__of(p);
    il__frame *frame = il__bytes(p, sizeof *frame);
    il__binding *b = own->bindings;

    while (b != NULL && (b->store != scope->store || b->values != scope->values ||
                         b->first_bit != scope->first_bit)) {
        b = b->next;
    }
    if (b == NULL) {
        b = il__bytes(p, sizeof *b);
        if (b != NULL) {
            b->label = il_arena_strdup(own->arena, scope->label);
            b->leaves =
                il_arena_calloc(own->arena, scope->store->count, sizeof(void *));
            b->store = scope->store;
            b->values = scope->values;
            b->first_bit = scope->first_bit;
            b->next = own->bindings;
        }
        if (b == NULL || b->label == NULL || b->leaves == NULL) {
            il__refuse(p, IL_ERR_MEMORY, "pass", 0, NULL, "no memory for a component");
            b = NULL;
        } else {
            own->bindings = b;
        }
    }
    if (frame == NULL || b == NULL) {
        own->lost++; /* leave must find as many frames as were entered */
        return;
    }
    frame->outer = own->frame;
    frame->binding = b;
    own->frame = frame;
}

void il_pass_leave(il_pass *p)
{
    il__pass *own = il__of(p);

    if (own->lost > 0) {
        own->lost--;
    } else if (own->frame != NULL) {
        own->frame = own->frame->outer;
    }
}

/* ---- sites, outputs, losses ----------------------------------------------------- */

il_status il_pass_site_flag(il_pass *p, int32_t site, unsigned flags, il_error *err)
{
    il__pass *own = il__of(p);

    if (site < 0) {
        return il_error_set(err, IL_ERR_INPUT, "pass", "no site has the number %d",
                            (int)site);
    }
    if ((size_t)site >= own->site_room) {
        size_t room = (size_t)site + 16;
        il__site *sites = realloc(own->sites, room * sizeof *sites);

        if (sites == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "pass", "no memory for site %d",
                                (int)site);
        }
        memset(sites + own->site_room, 0, (room - own->site_room) * sizeof *sites);
        own->sites = sites;
        own->site_room = room;
    }
    own->sites[site].flags |= flags;
    return IL_OK;
}

void il_pass_sites_clear(il_pass *p)
{
    il__pass *own = il__of(p);

    if (own->site_room > 0) {
        memset(own->sites, 0, own->site_room * sizeof *own->sites);
    }
    own->edit_count = 0;
}

il_status il_pass_edit(il_pass *p, const il_site_edit *e, const il_edit_at *at,
                       il_error *err)
{
    il__pass *own = il__of(p);

    IL_TRY(il_pass_site_flag(p, e->site, IL_SITE_EDIT, err));
    if (own->edit_count == own->edit_room) {
        size_t room = 2 * own->edit_room + 4;
        il__edit *edits = realloc(own->edits, room * sizeof *edits);

        if (edits == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "pass", "no memory for an edit");
        }
        own->edits = edits;
        own->edit_room = room;
    }
    own->edits[own->edit_count++] = (il__edit){e, *at};
    return IL_OK;
}

il_status il_pass_edit_all(il_pass *p, const il_site_edits *edits, il_error *err)
{
    for (size_t i = 0; edits != NULL && i < edits->count; i++) {
        const il_edit_at at = {.strength = edits->strengths[i]};

        if (strcmp(edits->items[i].tokens, "all") == 0) {
            IL_TRY(il_pass_edit(p, &edits->items[i], &at, err));
        }
    }
    return IL_OK;
}

void il_pass_edits_clear(il_pass *p)
{
    il__pass *own = il__of(p);

    for (size_t i = 0; i < own->edit_count; i++) {
        own->sites[own->edits[i].edit->site].flags &= ~(unsigned)IL_SITE_EDIT;
    }
    own->edit_count = 0;
}

static il__site *find_site(const il__pass *own, int32_t id)
{
    return id >= 0 && (size_t)id < own->site_room ? &own->sites[id] : NULL;
}

/* The same tensor, with one more bit of V: shares the gradient, like a view. */
static il_tensor *marked(il_pass *p, il_tensor *x, int64_t bit)
{
    il__pass *own = il__of(p);
    il__tensor *y = il__alias(p, il__t(x));
    il_word *v = y != NULL ? il__bytes(p, own->words * sizeof *v) : NULL;

    if (v == NULL) {
        return il__empty(p);
    }
    il_bits_copy(v, il__t(x)->v, own->words);
    il_bits_set(v, (size_t)bit);
    y->base = il__t(x)->base;
    y->v = v;
    return &y->pub;
}

/* What the edits of a site make of what passes it. */
static il_tensor *edited(il_pass *p, int32_t site, il_tensor *x)
{
    const il__pass *own = il__of(p);

    for (size_t i = 0; i < own->edit_count; i++) {
        const il__edit *e = &own->edits[i];
        il_tensor *before = x;

        if (e->edit->site != site) {
            continue;
        }
        if (e->at.strength != 0.0f && (e->at.rows == NULL || e->at.count > 0)) {
            x = e->edit->apply(e->edit->user, p, x, &e->at);
        }
        if (own->error.code != IL_OK) {
            return il__empty(p);
        }
        if (!il__same_shape(x, before)) {
            return il__refuse(p, IL_ERR_SHAPE, "edit", 1, (const il_tensor *const *)&x,
                              "an edit keeps the shape of its site");
        }
        if (e->edit->marker >= 0 && (size_t)e->edit->marker < own->bits) {
            x = marked(p, x, e->edit->marker);
        }
    }
    return x;
}

static il_tensor *api_hook(il_pass *p, il_site id, il_tensor *x)
{
    il__site *site = find_site(il__of(p), id.id);

    if (site == NULL || site->flags == 0 || !il__ready(p, "hook", 1, 1, &x)) {
        return x;
    }
    if (site->flags & IL_SITE_STOP) {
        x = il__op_detach(p, x);
    }
    if (site->flags & IL_SITE_EDIT) {
        x = edited(p, id.id, x);
    }
    site->tensor = il__t(x);
    return x;
}

static bool api_hook_wanted(const il_pass *p, il_site id)
{
    const il__site *site = find_site(il__of(p), id.id);

    return site != NULL && site->flags != 0;
}

il_tensor *il_pass_site(const il_pass *p, int32_t id)
{
    const il__site *site = find_site(il__of(p), id);

    return site != NULL && (site->flags & IL_SITE_READ) && site->tensor != NULL
               ? &site->tensor->pub
               : NULL;
}

static il__named *find_named(il__named *n, const char *name)
{
    while (n != NULL && strcmp(n->name, name) != 0) {
        n = n->next;
    }
    return n;
}

/* The row of that name in a list, new or as handed over before, emptied. */
static il__named *hand_over(il_pass *p, il__named **list, const char *name)
{
    il__named *n = find_named(*list, name);

    if (n == NULL) {
        n = il__bytes(p, sizeof *n);
        if (n == NULL) {
            return NULL;
        }
        n->next = *list;
        n->name = il_arena_strdup(il__of(p)->arena, name);
        if (n->name == NULL) {
            il__refuse(p, IL_ERR_MEMORY, "pass", 0, NULL, "no memory for a name");
            return NULL;
        }
        *list = n;
    }
    n->tensor = NULL;
    n->h = n->w = n->b = NULL;
    return n;
}

static void api_output(il_pass *p, const char *name, il_tensor *x)
{
    il__named *n;

    if (il__ready(p, "output", 1, 1, &x)) {
        n = hand_over(p, &il__of(p)->outputs, name);
        if (n != NULL) {
            n->tensor = il__t(x);
        }
    }
}

static void api_output_linear(il_pass *p, const char *name, il_tensor *h, il_tensor *w,
                              il_tensor *b)
{
    il_tensor *in[] = {h, w, b};
    il__named *n;

    if (!il__ready(p, "output_linear", 2, 3, in)) {
        return;
    }
    if (w->ndim != 2 || h->ndim < 1 || il_width(h) != w->shape[1] ||
        (b != NULL && (b->ndim != 1 || b->shape[0] != w->shape[0]))) {
        il__refuse(p, IL_ERR_SHAPE, "output_linear", 3, (const il_tensor *const *)in,
                   "expected h (...,C), w (W,C), b (W) or none");
        return;
    }
    n = hand_over(p, &il__of(p)->outputs, name);
    if (n != NULL) {
        n->h = h;
        n->w = w;
        n->b = b;
        n->frame = il__of(p)->frame;
    }
}

static void api_loss(il_pass *p, const char *name, il_tensor *rows)
{
    il__named *n;

    if (il__ready(p, "loss", 1, 1, &rows)) {
        n = hand_over(p, &il__of(p)->losses, name);
        if (n != NULL) {
            n->tensor = il__t(rows);
        }
    }
}

static bool api_output_wanted(const il_pass *p, const char *name)
{
    const char *only = il__of(p)->only;

    return only == NULL || strcmp(only, name) == 0;
}

il_tensor *il_pass_loss(const il_pass *p, const char *name)
{
    const il__named *n = find_named(il__of(p)->losses, name);

    return n != NULL ? &n->tensor->pub : NULL;
}

il_tensor *il_pass_output(il_pass *p, const char *name)
{
    il__pass *own = il__of(p);
    il__named *n = find_named(own->outputs, name);

    if (n == NULL) {
        return NULL;
    }
    if (n->tensor == NULL) {
        il__frame *now = own->frame;

        own->frame = n->frame; /* an error is that component's */
        n->tensor = il__t(il__op_linear(p, n->h, n->w, n->b, IL_ACT_NONE));
        own->frame = now;
    }
    return &n->tensor->pub;
}

bool il_pass_output_head(const il_pass *p, const char *name, il_tensor **h,
                         il_tensor **w, il_tensor **b)
{
    const il__named *n = find_named(il__of(p)->outputs, name);

    if (n == NULL || n->h == NULL) {
        return false;
    }
    *h = n->h;
    *w = n->w;
    *b = n->b;
    return true;
}

/* ---- memory and constants ------------------------------------------------------- */

static void *api_alloc(il_pass *p, size_t bytes)
{
    return il__of(p)->error.code == IL_OK ? il__bytes(p, bytes) : NULL;
}

/* A new tensor holding a copy, zeros for NULL. */
static il__tensor *copied(il_pass *p, const char *op, int32_t ndim,
                          const int64_t *shape, const void *data)
{
    il__tensor *t;

    if (il__of(p)->error.code != IL_OK) {
        return NULL;
    }
    t = il__make(p, op, ndim, shape, 0, NULL);
    if (t != NULL) {
        size_t bytes = (size_t)il_count(&t->pub) * sizeof(float);

        if (data != NULL) {
            memcpy(t->pub.data, data, bytes);
        } else {
            memset(t->pub.data, 0, bytes);
        }
    }
    return t;
}

static il_tensor *api_constant(il_pass *p, int32_t ndim, const int64_t *shape,
                               const float *data)
{
    il__tensor *t = copied(p, "constant", ndim, shape, data);

    return t != NULL ? &t->pub : il__empty(p);
}

static il_tensor *api_integers(il_pass *p, int32_t ndim, const int64_t *shape,
                               const int32_t *data)
{
    il__tensor *t = copied(p, "integers", ndim, shape, data); /* as wide as floats */

    if (t == NULL) {
        return il__empty(p);
    }
    t->pub.dtype.code = IL_CODE_INT;
    return &t->pub;
}

il_tensor *il_pass_leaf(il_pass *p, int32_t ndim, const int64_t *shape,
                        const float *data, const il_word *v)
{
    il__pass *own = il__of(p);
    il__tensor *t = copied(p, "leaf", ndim, shape, data);

    if (t != NULL && v != NULL) {
        il_word *bits = il__bytes(p, own->words * sizeof *bits);

        if (bits != NULL) {
            il_bits_copy(bits, v, own->words);
            t->v = bits;
        }
    }
    return t != NULL && own->error.code == IL_OK ? &t->pub : il__empty(p);
}

il_tensor *il_pass_borrow(il_pass *p, int32_t ndim, const int64_t *shape,
                          const float *data)
{
    il__tensor *t;

    if (il__of(p)->error.code != IL_OK) {
        return il__empty(p);
    }
    if (ndim < 0 || ndim > IL_DIMS_MAX || data == NULL) {
        return il__refuse(p, IL_ERR_SHAPE, "borrow", 0, NULL,
                          "expected data of at most %d dimensions, got %d", IL_DIMS_MAX,
                          (int)ndim);
    }
    t = borrow(p, ndim, shape, data);
    return t != NULL ? &t->pub : il__empty(p);
}

static void api_fail(il_pass *p, il_status code, const char *message)
{
    il__refuse(p, code != IL_OK ? code : IL_ERR_INTERNAL, "forward", 0, NULL, "%s",
               message);
}

static bool api_failed(const il_pass *p)
{
    return il__of(p)->error.code != IL_OK;
}

/* ---- the pass itself ------------------------------------------------------------ */

static const il_pass_api table = {
    .struct_size = sizeof table,
    .use = api_use,
    .hook = api_hook,
    .hook_wanted = api_hook_wanted,
    .output = api_output,
    .output_linear = api_output_linear,
    .loss = api_loss,
    .alloc = api_alloc,
    .constant = api_constant,
    .fail = api_fail,
    .failed = api_failed,
    .linear = il__op_linear,
    .matmul = il__op_matmul,
    .activate = il__op_activate,
    .add = il__op_add,
    .sub = il__op_sub,
    .mul = il__op_mul,
    .affine = il__op_affine,
    .softmax = il__op_softmax,
    .log_softmax = il__op_log_softmax,
    .layer_norm = il__op_layer_norm,
    .rms_norm = il__op_rms_norm,
    .causal_attention = il__op_causal_attention,
    .embedding = il__op_embedding,
    .cross_entropy = il__op_cross_entropy,
    .cross_entropy_linear = il__op_cross_entropy_linear,
    .bce_logits = il__op_bce_logits,
    .gather_rows = il__op_gather_rows,
    .concat = il__op_concat,
    .slice = il__op_slice,
    .reshape = il__op_reshape,
    .sum = il__op_sum,
    .mean = il__op_mean,
    .row_sum = il__op_row_sum,
    .detach = il__op_detach,
    .custom = il__op_custom,
    .gru = il__op_gru,
    .gru_cell = il__op_gru_cell,
    .entropy_rows = il__op_entropy_rows,
    .kl_rows = il__op_kl_rows,
    .integers = api_integers,
    .cached_attention = il__op_cached_attention,
    .output_wanted = api_output_wanted,
    .top_linear = il__op_top_linear,
    .sparse_matmul = il__op_sparse_matmul,
    .sparse_dense = il__op_sparse_dense,
    .cached_positions = il__op_cached_positions,
    .rotary_table = il__op_rotary_table,
    .rotary = il__op_rotary,
    .attention = il__op_attention,
    .gated = il__op_gated,
};

il_status il_pass_create(il_pass **out, const il_blas *blas, size_t bits, il_error *err)
{
    il__pass *own = calloc(1, sizeof *own);

    if (own != NULL) {
        own->pub.api = &table;
        own->blas = blas;
        own->bits = bits;
        own->words = il_bits_words(bits);
        own->zeros = calloc(own->words + 1, sizeof *own->zeros);
        own->arena = il_arena_create(ARENA_CHUNK);
    }
    if (own == NULL || own->zeros == NULL || own->arena == NULL) {
        il_pass_destroy(own != NULL ? &own->pub : NULL);
        return il_error_set(err, IL_ERR_MEMORY, "pass", "no memory for a pass");
    }
    own->lent = own->arena;
    own->empty.pub.device_type = IL_DEVICE_CPU;
    own->empty.pub.dtype = (il_dtype){IL_CODE_FLOAT, 32, 1};
    own->empty.g = own->zeros;
    own->empty.v = own->zeros;
    own->empty.base = &own->empty;
    own->empty.bit = -1;
    *out = &own->pub;
    return IL_OK;
}

void il_pass_destroy(il_pass *p)
{
    il__pass *own = il__of(p);

    if (own == NULL) {
        return;
    }
    il_arena_destroy(own->arena);
    il_arena_destroy(own->kept);
    free(own->zeros);
    free(own->sites);
    free(own->edits);
    free(own);
}

void il_pass_only(il_pass *p, const char *output)
{
    il__of(p)->only = output;
}

void il_pass_still(il_pass *p, bool still)
{
    il__pass *own = il__of(p);

    own->still = still;
    own->turned = NULL;
    if (own->kept != NULL) {
        il_arena_reset(own->kept);
    }
}

/* to (columns,rows) = the transpose of w, sixteen rows at a time: so many numbers that
 * lie side by side then come from lines that are still near. */
IL_CLONES
static void turn(float *restrict to, const float *restrict w, int64_t rows,
                 int64_t columns)
{
    enum { SIDE = 16 };
    int64_t j = 0;

    for (; j + SIDE <= rows; j += SIDE) {
        for (int64_t k = 0; k < columns; k++) {
            for (int64_t x = 0; x < SIDE; x++) {
                to[k * rows + j + x] = w[(j + x) * columns + k];
            }
        }
    }
    for (; j < rows; j++) {
        for (int64_t k = 0; k < columns; k++) {
            to[k * rows + j] = w[j * columns + k];
        }
    }
}

const float *il__turned_of(il_pass *p, const il_tensor *w)
{
    il__pass *own = il__of(p);
    int64_t rows = w->shape[0];
    int64_t columns = w->shape[1];
    il__turned *t = own->turned;
    float *to;

    if (!own->still || !il__t(w)->parameter || w->ndim != 2) {
        return NULL;
    }
    while (t != NULL &&
           (t->from != w->data || t->rows != rows || t->columns != columns)) {
        t = t->next;
    }
    if (t != NULL) {
        return t->to;
    }
    if (own->kept == NULL) {
        own->kept = il_arena_create(KEPT_CHUNK);
    }
    t = own->kept != NULL ? il_arena_alloc(own->kept, sizeof *t) : NULL;
    to = t != NULL ? il_arena_alloc(own->kept, (size_t)il_count(w) * sizeof *to) : NULL;
    if (to == NULL) {
        return NULL;
    }
    turn(to, il_f32(w), rows, columns);
    *t = (il__turned){own->turned, il_f32(w), rows, columns, to};
    own->turned = t;
    return to;
}

void il_pass_lend(il_pass *p, il_arena *arena)
{
    il__of(p)->lent = arena != NULL ? arena : il__of(p)->arena;
}

void il_pass_team(il_pass *p, il_pool *team)
{
    il__of(p)->team = team;
}

size_t il_pass_words(const il_pass *p)
{
    return il__of(p)->words;
}

void il_pass_begin(il_pass *p)
{
    il__pass *own = il__of(p);

    il_arena_reset(own->arena);
    own->lent = own->arena;
    memset(&own->error, 0, sizeof own->error);
    own->last = NULL;
    own->nodes = 0;
    own->bindings = NULL;
    own->frame = NULL;
    own->lost = 0;
    own->outputs = NULL;
    own->losses = NULL;
    for (size_t i = 0; i < own->site_room; i++) {
        own->sites[i].tensor = NULL;
    }
}

il_status il_pass_status(const il_pass *p, il_error *err)
{
    const il_error *stuck = &il__of(p)->error;

    if (stuck->code == IL_OK) {
        return IL_OK;
    }
    return il_error_set(err, stuck->code, stuck->where, "%s", stuck->message);
}

size_t il_pass_nodes(const il_pass *p)
{
    return il__of(p)->nodes;
}

size_t il_pass_peak(const il_pass *p)
{
    return il_arena_peak(il__of(p)->arena);
}
