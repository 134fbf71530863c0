/* The fresh readers that an audit may name. See audit_private.h. */
#include <string.h>
#include "audit/audit_private.h"
#include "detect/closed.h"

const il_audit_reader il__audit_readers[IL_AUDIT_READERS] = {
    {"linear", "linear_probe", IL_CONTEXT_SELF},
    {"mean_difference", "mean_difference", IL_CONTEXT_SELF},
    {"mlp", "mlp_probe", IL_CONTEXT_SELF},
    {"attention", "attention_probe", IL_CONTEXT_PAST},
    {"mahalanobis", "mahalanobis", IL_CONTEXT_SELF},
};

bool il__audit_offers(const char *reader)
{
    for (int k = 0; k < IL_AUDIT_READERS; k++) {
        if (strcmp(il__audit_readers[k].name, reader) == 0) {
            return true;
        }
    }
    return false;
}

il_status il__audit_unread(il_audit_work *w, const char *name, const il_error *why,
                           il_error *err)
{
    if (why->code != IL_ERR_NUMERIC) {
        return il_error_set(err, why->code, why->where, "%s", why->message);
    }
    return name != NULL &&
                   json_object_set_new(w->unread, name, json_string(why->message)) == 0
               ? IL_OK
               : il__audit_no_memory(err);
}

void il__audit_pool_like(il_detector_spec *fresh, const il_detector_spec *like)
{
    fresh->pooled = like->pooled;
    fresh->pooling = like->pooling;
    fresh->pool = like->pool;
    if (like->pooled && (like->pooling.kind == IL_POOL_ATTENTION ||
                         like->pooling.kind == IL_POOL_NONE)) {
        fresh->pooling.kind = IL_POOL_MEAN;
        fresh->pool = "mean";
    }
}
