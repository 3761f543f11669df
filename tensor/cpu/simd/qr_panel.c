/* The kernels of cpu/qr.h. */
#include "cpu/simd/simd.h"

#include <math.h>
#include <string.h>
#include "core/parallel.h"
#include "cpu/qr.h"

#define T float
#define FN(name) name##_f32
#define TYPE(name) name##F32
#define LOW 1e-30f
#define HIGH 1e30f
#include "cpu/simd/qr_panel_body.h"
#undef T
#undef FN
#undef TYPE
#undef LOW
#undef HIGH

#define T double
#define FN(name) name##_f64
#define TYPE(name) name##F64
#define LOW 1e-290
#define HIGH 1e290
#include "cpu/simd/qr_panel_body.h"

const LpQrPanelKernels LP_SIMD(lp_qr_panel_kernels) = {.panel_f32 = panel_f32,
                                                       .panel_f64 = panel_f64};
