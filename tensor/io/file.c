/* A whole file as a tensor of bytes. */
#include "core/tensor.h"
#include "io/source.h"
#include "lampad/io.h"

LpTensor *lp_read_file(const char *path) {
  LpSource *source = lp_source_open(path, false);
  if (!source) return NULL;
  const int64_t size = (int64_t)source->size_bytes;
  LpTensor *bytes = lp_tensor_new((LpInts){&size, 1}, LP_UINT8, (LpDevice){LP_CPU, 0});
  if (bytes && size && !lp_source_read(source, 0, lp_data(bytes), (size_t)size)) {
    lp_tensor_release(bytes);
    bytes = NULL;
  }
  lp_source_release(source);
  return bytes;
}
