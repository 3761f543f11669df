/* Checkpoints for C hosts: PyTorch's files read into a tree of plain values, and such
 * trees written as PyTorch's files. Nothing in a file is ever run: what is no plain
 * value, tensor or known container becomes an inert record of its class's name, arguments
 * and state.
 *
 * A tree owns its values and all they point at; lp_io_tree_free gives everything back.
 * Values may be shared and cyclic, as in the file. */
#ifndef LAMPAD_CHECKPOINT_H
#define LAMPAD_CHECKPOINT_H

#include "lampad/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum LpIoKind {
  LP_IO_NONE,
  LP_IO_BOOL,
  LP_IO_INT,
  LP_IO_BIGINT, /* text: two's complement, little-endian, longer than 8 bytes */
  LP_IO_FLOAT,
  LP_IO_COMPLEX,
  LP_IO_STRING,
  LP_IO_BYTES,
  LP_IO_LIST,
  LP_IO_TUPLE,
  LP_IO_SET,
  LP_IO_FROZENSET,
  LP_IO_SIZE, /* torch.Size */
  LP_IO_DICT, /* items: key, value, key, value, ... in order */
  LP_IO_ORDERED_DICT,
  LP_IO_TENSOR,
  LP_IO_STORAGE, /* its tensor is one-dimensional, over all of the storage */
  LP_IO_DTYPE,
  LP_IO_DEVICE, /* text: "cpu", "cuda:0" */
  LP_IO_GLOBAL, /* a class or function that the file names */
  LP_IO_RECORD  /* an object that the file would have had made by running code */
} LpIoKind;

enum { /* flags of a tensor value */
       LP_IO_PARAMETER = 1,
       LP_IO_REQUIRES_GRAD = 2,
       LP_IO_CONJ = 4,    /* the stored elements are to be conjugated */
       LP_IO_NEG = 8,     /* ... to be negated */
       LP_IO_UNTYPED = 16 /* of a storage: UntypedStorage */
};

typedef struct LpIoValue LpIoValue;
struct LpIoValue {
  uint8_t kind; /* LpIoKind */
  uint8_t flags;
  int8_t dtype;    /* DTYPE; of a STORAGE that of its elements */
  uint32_t number; /* position among the tree's values */
  union {
    int64_t i; /* BOOL, INT */
    double f;
    double c[2];
    struct {
      const char *data; /* not zero-terminated */
      size_t size_bytes;
    } text; /* STRING, BYTES, BIGINT, DEVICE */
    struct {
      LpIoValue **data;
      size_t count, capacity;
      LpIoValue
          *attributes; /* of a container with fields of its own (`_metadata`), or NULL */
    } items;
    struct {
      LpTensor *tensor;      /* owned */
      LpIoValue *device;     /* where it was when it was saved; NULL: cpu */
      LpIoValue *attributes; /* fields set on the tensor object, or NULL */
    } tensor;
    struct {
      const char *module, *name; /* zero-terminated */
      const void *entry;         /* internal: what the reader knows of it */
    } global;
    struct {
      LpIoValue *callee;                              /* GLOBAL, or another value */
      LpIoValue *args, *kwargs, *state, *list, *dict; /* NULL: none */
    } record;
  } as;
};

typedef struct LpIoTree LpIoTree;

LP_API LpIoTree *lp_io_tree_new(void);
LP_API void lp_io_tree_free(LpIoTree *tree); /* NULL-safe */
LP_API LpIoValue *lp_io_tree_root(const LpIoTree *tree);
LP_API void lp_io_tree_set_root(LpIoTree *tree, LpIoValue *root);
/* The value of that number, or NULL. */
LP_API LpIoValue *lp_io_tree_value(const LpIoTree *tree, size_t number);
/* "zip", "torchscript", "legacy", "tar", "safetensors", "npy", "npz"; "" for a tree that
 * was not read. */
LP_API const char *lp_io_tree_format(const LpIoTree *tree);
/* What a described file says of itself, a dict: version, byteorder, ...; or NULL. */
LP_API LpIoValue *lp_io_tree_info(const LpIoTree *tree);

/* New values; NULL on out of memory. Texts are copied, tensors retained. */
LP_API LpIoValue *lp_io_new(LpIoTree *tree, LpIoKind kind);
LP_API LpIoValue *lp_io_text(LpIoTree *tree, LpIoKind kind, const char *data,
                             size_t size_bytes);
LP_API LpIoValue *lp_io_tensor(LpIoTree *tree, LpTensor *tensor, int flags);
/* The tensor of a tensor or storage value for who will change its flags: itself while
 * nobody else has it, else another header over the same memory. Owned. */
LP_API LpTensor *lp_io_own_tensor(const LpIoValue *value);
LP_API LpIoValue *lp_io_global(LpIoTree *tree, const char *module, const char *name);
/* Appends to a list, tuple or set; a dict takes key and value in turn. */
LP_API bool lp_io_append(LpIoTree *tree, LpIoValue *container, LpIoValue *item);

/* Reads a file in PyTorch's zip format, the format before PyTorch 1.6, the tar format
 * before that, safetensors, .npy or .npz (an ordered dict of tensors; a tensor); told
 * apart by content. With use_mmap tensors are views of the file's mapped bytes, copied
 * when written to; the formats before PyTorch 1.6 cannot be used so. Fails with LP_ERR_IO
 * for files that are damaged, of another format, or that go past the limits. */
LP_API LpIoTree *lp_checkpoint_open(const char *path, bool use_mmap);
/* The same from memory, which is borrowed during the call. */
LP_API LpIoTree *lp_checkpoint_read(const void *data, size_t size_bytes);
/* What the file would give, all of it checked but the elements: those of the tensors are
 * not read, and may be zeros. */
LP_API LpIoTree *lp_checkpoint_describe(const char *path);
/* A file of one plain pickle (pickle.dump), by the same machine: nothing is run. */
LP_API LpIoTree *lp_pickle_open(const char *path);
/* Writes the tree in PyTorch's zip format, whole or not at all. */
LP_API bool lp_checkpoint_write(const char *path, const LpIoTree *tree);

#ifdef __cplusplus
}
#endif
#endif
