/* GGUF's numbers, which its reader and writer share. */
#ifndef IL_FORMATS_GGUF_PRIVATE_H
#define IL_FORMATS_GGUF_PRIVATE_H

/* Kinds of values. */
enum {
    GGUF_U8 = 0,
    GGUF_I8 = 1,
    GGUF_U16 = 2,
    GGUF_I16 = 3,
    GGUF_U32 = 4,
    GGUF_I32 = 5,
    GGUF_F32 = 6,
    GGUF_BOOL = 7,
    GGUF_TEXT = 8,
    GGUF_LIST = 9,
    GGUF_U64 = 10,
    GGUF_I64 = 11,
    GGUF_F64 = 12
};

/* Element types of tensors. */
enum {
    GGUF_TENSOR_F32 = 0,
    GGUF_TENSOR_F16 = 1,
    GGUF_TENSOR_Q8_0 = 8,
    GGUF_TENSOR_F64 = 28,
    GGUF_TENSOR_BF16 = 30
};

enum {
    GGUF_BLOCK = 32, /* elements of a Q8_0 block */
    GGUF_BLOCK_BYTES = 34,
    GGUF_ALIGN = 32,  /* of data, unless the file says otherwise */
    GGUF_MANY = 65536 /* tensors, or keys: more than any model has */
};

#endif
