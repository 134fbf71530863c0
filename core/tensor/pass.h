/* The host's side of a pass: what runs a component's forward code and then walks its
 * tape.
 *
 * Every tensor on the tape carries two bitsets over the parameters that have bits in
 * this pass, the OR of its inputs': G, the parameters a derivative flows to, and V,
 * those its value depends on. Detaching clears G and keeps V. `il_pass_backward` visits
 * only nodes whose G meets the route and adds only into routed parameters, so what is
 * outside gets bit-for-bit nothing. */
#ifndef IL_TENSOR_PASS_H
#define IL_TENSOR_PASS_H

#include <stdbool.h>
#include "interloop/pass.h"
#include "base/bits.h"
#include "tensor/blas.h"
#include "tensor/store.h"

/* A component as it runs in a pass: where its parameters' values are, and which bits
 * are theirs. */
typedef struct il_scope {
    const char *label; /* instance name, for errors: "model", "detector probe" */
    const il_store *store;
    const float *const *values; /* by parameter number */
    int64_t
        first_bit; /* of parameter 0; -1: no bits (its parameters are constants here) */
} il_scope;

enum { IL_SITE_READ = 1u, IL_SITE_STOP = 2u, IL_SITE_EDIT = 4u };

/* Where and how strongly an edit applies. */
typedef struct il_edit_at {
    float strength; /* 1: wholly; x + strength (edited - x) */
    int64_t count;
    const int32_t *rows; /* (count) of the site's rows; NULL: all of them */
} il_edit_at;

/* Something that is done to what passes a site, before anybody reads it there. */
typedef struct il_site_edit {
    int32_t site;
    const char *tokens; /* "all", or the mask that holds its rows: for who binds it */
    /* Bit that V has from here on, so that what depends on the site is told apart; -1,
     * or one that the pass does not have: none. */
    int64_t marker;
    /* x (...,W) -> the same shape; errors stick to the pass. [work] */
    il_tensor *(*apply)(const void *user, il_pass *p, il_tensor *x,
                        const il_edit_at *at);
    const void *user;
} il_site_edit;

/* Several, with their present strengths. */
typedef struct il_site_edits {
    size_t count;
    const il_site_edit *items;
    const float *strengths;
} il_site_edits;

/* A pass whose ancestries have `bits` bits. */
il_status il_pass_create(il_pass **out, const il_blas *blas, size_t bits,
                         il_error *err);
void il_pass_destroy(il_pass *p); /* takes NULL */
size_t il_pass_words(const il_pass *p);

/* Which sites are read (their tensor is kept) or stopped (detached on the way), until
 * told otherwise; `il_pass_sites_clear` forgets all. Reading never changes a value. */
il_status il_pass_site_flag(il_pass *p, int32_t site, unsigned flags, il_error *err);
void il_pass_sites_clear(il_pass *p);

/* Binds an edit until the edits or the sites are cleared; `e` and `at->rows` are
 * borrowed as long. Those of one site apply in the order in which they were bound;
 * strength 0 changes nothing. Who reads the site reads what they leave. */
il_status il_pass_edit(il_pass *p, const il_site_edit *e, const il_edit_at *at,
                       il_error *err);
/* Binds those for which every row is edited; others are the caller's. */
il_status il_pass_edit_all(il_pass *p, const il_site_edits *edits, il_error *err);
void il_pass_edits_clear(il_pass *p);

/* Lets backwards take their memory from this arena, and give it back as they end; NULL:
 * from the pass's own, as after il_pass_begin. Of many passes that are kept, all but
 * the tape may so lie in one place, which stays in the cache. Borrowed. */
void il_pass_lend(il_pass *p, il_arena *arena);
/* Lets large ops be cut between a pool's workers, of whom the caller is one: for a pass
 * that is not itself a task of that pool, while it has no other job. NULL: none, as at
 * first. No bit depends on it. Borrowed. */
void il_pass_team(il_pass *p, il_pool *team);
/* Empties tape and arena for a new micro-batch. Tensors of before are gone. */
void il_pass_begin(il_pass *p);
/* Until told otherwise only this output is read (it is borrowed; NULL: any may be), and
 * what scopes bind keeps its values: so what is made of parameters alone is kept from
 * one il_pass_begin to the next. For acting, step by step. `still` false forgets it. */
void il_pass_only(il_pass *p, const char *output);
void il_pass_still(il_pass *p, bool still);
/* Components run inside enter and leave; the scope is borrowed until leave. Scopes
 * nest. */
void il_pass_enter(il_pass *p, const il_scope *scope);
void il_pass_leave(il_pass *p);

/* What forward handed over, or NULL. A linear output is multiplied out at the first
 * ask; `_head` gives its parts without that, false when the output is not linear. */
il_tensor *il_pass_site(const il_pass *p, int32_t site);
il_tensor *il_pass_loss(const il_pass *p, const char *name);
il_tensor *il_pass_output(il_pass *p, const char *name);
bool il_pass_output_head(const il_pass *p, const char *name, il_tensor **h,
                         il_tensor **w, il_tensor **b);

/* A constant that remembers what it depends on: V is the words given (NULL: nothing).
 * Copies data. */
il_tensor *il_pass_leaf(il_pass *p, int32_t ndim, const int64_t *shape,
                        const float *data, const il_word *v);
/* A constant that borrows `data` instead of copying it; it must outlive the pass's
 * micro-batch. */
il_tensor *il_pass_borrow(il_pass *p, int32_t ndim, const int64_t *shape,
                          const float *data);

const il_word *il_tensor_g(const il_tensor *t);
const il_word *il_tensor_v(const il_tensor *t);

/* Adds d(sum_i <seed_i, root_i>)/d(parameter) into grads[bit] for each bit of `route`
 * that a root's G has; grads outside the route may be NULL. seeds[i] has the root's
 * count of elements. The tape stays: any number of backwards may follow, each by
 * itself. */
il_status il_pass_backward(il_pass *p, size_t count, il_tensor *const *roots,
                           const float *const *seeds, const il_word *route,
                           float *const *grads, il_error *err);

/* The error that sticks to the pass, with instance, op and shapes; IL_OK when there is
 * none. */
il_status il_pass_status(const il_pass *p, il_error *err);
/* Tape nodes now, and the most arena bytes in use at once so far. */
size_t il_pass_nodes(const il_pass *p);
size_t il_pass_peak(const il_pass *p);

#endif
