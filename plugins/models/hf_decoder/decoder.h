/* A decoder as the folders of several architectures describe it: what config.c reads
 * there, weights.c registers and forward.c runs.
 *
 * Parameters keep the names, shapes and layout that they have in their files, so that
 * nothing is turned or cut when it is read and a saved folder holds what was read.
 * What differs between the architectures is data here, never a copy of the code. */
#ifndef DECODER_H
#define DECODER_H

#include "values.h"

enum { LAYERS_MAX = 512, PAIRS_MAX = 1024, NAME_MAX_BYTES = 192, ADAPTERS_MAX = 8 };

/* How a block's queries, keys and values lie in its files. */
typedef enum fused {
    FUSED_NOT,    /* three matrices */
    FUSED_PARTS,  /* one: all queries, all keys, all values (GPT-2) */
    FUSED_BY_HEAD /* one: for each head its query, key and value (GPT-NeoX) */
} fused;

/* An adapter beside a matrix (Hu et al. 2021): y += scale B A x. */
typedef struct adapter {
    float scale;
    il_param a; /* (R,I) */
    il_param b; /* (O,R) */
} adapter;

typedef struct matrix {
    il_param w; /* (O,I), or (I,O) when `turned` */
    il_param b; /* (O) */
    bool biased;
    bool turned;
    int adapters;
    adapter lora[ADAPTERS_MAX];
} matrix;

typedef struct norm {
    il_param w; /* (C) */
    il_param b; /* (C); of a layer norm */
} norm;

typedef struct block {
    norm ln1;
    matrix q; /* all three in it where they are fused */
    matrix k;
    matrix v;
    matrix o;
    norm ln2;
    matrix gate; /* of a gated hidden layer */
    matrix in;
    matrix out;
    int64_t window; /* keys that a query sees; 0: all */
    float scale;    /* of scores */

    il_site resid_pre;
    il_site normalized1;
    il_site site_q;
    il_site site_k;
    il_site site_v;
    il_site rot_q; /* where positions turn them */
    il_site rot_k;
    il_site pattern;
    il_site z;
    il_site attn_out;
    il_site resid_mid; /* where the two halves of the block follow each other */
    il_site normalized2;
    il_site pre;
    il_site pre_linear; /* of a gated hidden layer */
    il_site post;
    il_site mlp_out;
    il_site resid_post;
} block;

typedef struct decoder {
    const char *kind; /* "gpt2", ... */
    int64_t layers;
    int64_t width;
    int64_t heads;
    int64_t groups; /* of keys and values */
    int64_t head;   /* channels of a head */
    int64_t hidden; /* channels of the hidden layer */
    int64_t vocabulary;
    int64_t positions; /* as many as the folder allows */
    int64_t context;   /* as many as there are here */
    float eps;
    il_act act;
    fused fused;
    bool rms;        /* norms without mean and bias */
    bool gated;      /* the hidden layer */
    bool parallel;   /* both halves of a block read what enters it */
    bool learned;    /* positions have embeddings; else they turn queries and keys */
    bool tied;       /* the unembedding is the embedding */
    bool qkv_biased; /* and so on */
    bool o_biased;
    bool mlp_biased;
    int64_t pairs;    /* of channels that turn in each head */
    float turn_scale; /* of cosines and sines */
    float rates[PAIRS_MAX];
    int64_t windows[LAYERS_MAX];

    il_param w_e;   /* (V,C) */
    il_param w_pos; /* (positions,C) */
    il_param w_u;   /* (V,C) */
    norm ln_final;
    il_site embed;
    il_site pos_embed;
    il_site normalized;
    block *blocks; /* [layers] */
} decoder;

/* config.c: what the folder's configuration says, checked. */
il_status decoder_configure(decoder *d, const il_pretrained *from, il_error *err);
/* rotary.c: pairs, rates and scale of the positions, by the way to their settings. */
il_status decoder_turns(decoder *d, const values *v, double fraction, double theta,
                        il_error *err);

/* adapters.c: those that are asked for, each beside as many matrices as it names. */
typedef struct lora {
    char name[64]; /* empty: the only one */
    int64_t rank;  /* 0: none */
    double alpha;
    bool root;                 /* alpha is divided by the root of the rank */
    const char *targets;       /* names of modules, by blanks or commas */
    char listed[512];          /* them, where a folder names them */
    const il_pretrained *from; /* a folder of adapters that they start from, or NULL */
    size_t adapted;            /* matrices that it stands beside */
} lora;
typedef struct loras {
    size_t count;
    lora items[ADAPTERS_MAX];
} loras;
il_status adapters_read(const il_setup *s, const decoder *d, loras *all, il_error *err);
/* Those of one matrix, (out,in). What is new adds nothing at first. */
il_status adapters_take(const il_setup *s, loras *all, matrix *x, const char *module,
                        int64_t out, int64_t in, il_error *err);
/* Whether every one found matrices, and its folder has nothing else; `example` is a
 * name that there is. */
il_status adapters_check(const decoder *d, const loras *all, const char *example,
                         il_error *err);
/* Leaves what PEFT's configuration says of each. */
il_status adapters_note(const il_setup *s, const decoder *d, const loras *all,
                        il_error *err);

/* weights.c: every parameter. */
il_status decoder_weights(const il_setup *s, decoder *d, const il_pretrained *from,
                          loras *adapters, il_error *err);

/* forward.c. */
void decoder_forward(const void *self, il_pass *pass, const il_batch *batch);
int64_t decoder_carry_width(const void *self, int64_t length);
void decoder_step(const void *self, il_pass *pass, const il_batch *batch, int64_t at,
                  int64_t length, float *carry);

#endif
