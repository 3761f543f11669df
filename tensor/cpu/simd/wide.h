/* Loops over vectors of 16 floats, for AVX-512; included by stretches.h. They make use of
 * what plain C does not have: guesses at reciprocals, and tables of up to 32 entries in
 * two registers, of which one instruction takes 16.
 *
 * Note [Pieces]. A function has a polynomial for each piece of its range; row k of a
 * table holds the coefficient of t^k of each, t being the distance from the piece's
 * middle. They are fits of the least relative error (Lawson's iteration), each rounded
 * coefficient before the next is fitted anew, and add less than 0.9 ulp to the last
 * rounding. */
#include <immintrin.h>

/* Pieces of a quarter of a power of two, from 1/8 on, and one before them. Row 0 holds
 * the middles. */
/* clang-format off */
static const _Alignas(64) float tanh_pieces[7][32] = {
    {2.25f, 2.75f, 3.25f, 3.75f, 4.5f, 5.5f, 6.5f, 7.5f, 9.0f, 0.0f, 0.0f, 0.0f, 0.0f,
     0.0f, 0.0f, 0.0f, 0.140625f, 0.171875f, 0.203125f, 0.234375f, 0.28125f, 0.34375f,
     0.40625f, 0.46875f, 0.5625f, 0.6875f, 0.8125f, 0.9375f, 1.125f, 1.375f, 1.625f,
     1.875f},
    {0.978026092f, 0.991859734f, 0.996997654f, 0.998894453f, 0.999753177f, 0.999966621f,
     0.99999547f, 0.999999404f, 0.99999994f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f,
     0.1397053f, 0.170202315f, 0.200376719f, 0.230175704f, 0.27406159f, 0.330821127f,
     0.385283977f, 0.437188774f, 0.509829998f, 0.596373558f, 0.670967102f, 0.734071493f,
     0.809301078f, 0.879826725f, 0.925346255f, 0.954045236f},
    {0.0434649177f, 0.0162142869f, 0.00599571504f, 0.00220989226f, 0.000493517378f,
     6.68045759e-05f, 9.04127683e-06f, 1.22360859e-06f, 6.5461208e-08f, 0.0f, 0.0f,
     0.0f, 0.0f, 0.0f, 0.0f, 1.0f, 0.980482399f, 0.971031189f, 0.959849179f, 0.9470191f,
     0.92489028f, 0.890557408f, 0.851556301f, 0.808865964f, 0.740073442f, 0.644338608f,
     0.549803197f, 0.461138994f, 0.345031768f, 0.225904986f, 0.143734366f,
     0.0897976384f},
    {-0.0425056964f, -0.016082244f, -0.00597961992f, -0.00220856629f, -0.000491733954f,
     -6.7473411e-05f, -8.73313729e-06f, -1.72202419e-06f, 6.30475995e-07f, 0.0f, 0.0f,
     0.0f, 0.0f, 0.0f, 0.0f, 3.11898191e-07f, -0.136897415f, -0.165481299f,
     -0.192354709f, -0.217744589f, -0.253488928f, -0.294689924f, -0.328176439f,
     -0.353539407f, -0.377360582f, -0.384271652f, -0.368956417f, -0.338455439f,
     -0.279240668f, -0.198771149f, -0.13301976f, -0.0856588781f},
    {0.0270877257f, 0.0105463294f, 0.0039610411f, 0.00146832224f, 0.000328627008f,
     4.45027072e-05f, 6.02377895e-06f, 8.15225974e-07f, 3.20613623e-07f, 0.0f, 0.0f,
     0.0f, 0.0f, 0.0f, 0.0f, -0.333355635f, -0.306979954f, -0.296472669f, -0.281580091f,
     -0.264377117f, -0.238959655f, -0.19957453f, -0.157671899f, -0.114913851f,
     -0.0544056371f, 0.014363599f, 0.0642136782f, 0.0948059335f, 0.11097569f,
     0.0995672941f, 0.0751617551f, 0.0518029593f},
    {-0.0124333119f, -0.00513495784f, -0.00194160477f, -0.000719138829f,
     -0.000176351416f, -2.0352094e-05f, -4.34148706e-06f, 1.55679766e-06f,
     -2.15817795e-06f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.000472802581f,
     -0.241362035f, 0.9571805f, 0.215130284f, -0.826391518f, 0.162188053f, 0.240031719f,
     0.256801426f, 0.0789692402f, 0.165761992f, 0.120781481f, 0.0942882076f,
     0.0297231264f, 0.00394199975f, -0.020295741f, -0.0241561495f, -0.0216246173f},
    {0.00397689687f, 0.00191454217f, 0.000769933802f, 0.000292316923f, 6.76795462e-05f,
     9.22907475e-06f, 1.24831809e-06f, 1.69025853e-07f, -1.77542302e-06f, 0.0f, 0.0f,
     0.0f, 0.0f, 0.0f, 0.0f, 0.129986003f, -2.59094763f, 4.23875952f, 0.702926099f,
     -4.27330923f, 0.162609175f, 0.227489844f, 0.224394381f, -0.144312203f,
     -0.0240658596f, -0.0571821779f, -0.0518159233f, -0.0609454997f, -0.0320394412f,
     -0.0092754215f, 0.00154077355f, 0.00452459371f},
};

static const _Alignas(64) float erf_pieces[7][32] = {
    {2.25f, 2.75f, 3.25f, 3.75f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f,
     0.0f, 0.0f, 0.0f, 0.140625f, 0.171875f, 0.203125f, 0.234375f, 0.28125f, 0.34375f,
     0.40625f, 0.46875f, 0.5625f, 0.6875f, 0.8125f, 0.9375f, 1.125f, 1.375f, 1.625f,
     1.875f},
    {0.998537242f, 0.999899387f, 0.999995708f, 0.999999881f, 0.0f, 0.0f, 0.0f, 0.0f,
     0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.15763852f, 0.192047238f,
     0.22608839f, 0.259700149f, 0.309183717f, 0.373129189f, 0.434386909f, 0.492613465f,
     0.57367444f, 0.669084668f, 0.749464035f, 0.815102398f, 0.888388216f, 0.948170066f,
     0.978443742f, 0.99199003f},
    {0.00714231841f, 0.000586294103f, 2.9189021e-05f, 8.80287928e-07f, 0.0f, 0.0f, 0.0f,
     0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 1.12837923f, 1.10628426f,
     1.09553325f, 1.08276987f, 1.06806707f, 1.04256153f, 1.00262165f, 0.956708193f,
     0.90579313f, 0.822321355f, 0.703368723f, 0.583113194f, 0.468544573f, 0.318273962f,
     0.170359775f, 0.0804722607f, 0.0335458256f},
    {-0.0160611253f, -0.00161015976f, -9.57118828e-05f, -2.34316167e-06f, 0.0f, 0.0f,
     0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, -1.47499723e-05f,
     -0.155525967f, -0.188054621f, -0.220162719f, -0.250040352f, -0.293133169f,
     -0.344614267f, -0.388645351f, -0.424520463f, -0.462522477f, -0.483576447f,
     -0.473798513f, -0.439255148f, -0.358052492f, -0.234244332f, -0.130773351f,
     -0.0628848001f},
    {0.0217260532f, 0.00275795395f, 0.000195415647f, 8.79979052e-06f, 0.0f, 0.0f, 0.0f,
     0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, -0.375545979f, -0.354521126f,
     -0.342892051f, -0.331559658f, -0.315444261f, -0.292423666f, -0.255301267f,
     -0.213534206f, -0.169146761f, -0.100616448f, -0.0128223468f, 0.0622241683f,
     0.11836911f, 0.162452325f, 0.157938153f, 0.114840642f, 0.0674425513f},
    {-0.0193954017f, -0.00339331222f, -0.000289935037f, -3.57641657e-05f, 0.0f, 0.0f,
     0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, -0.00729610538f,
     -0.10839168f, -0.88624084f, 1.02407539f, -1.04959702f, 0.0499502458f, 0.121067546f,
     0.155179322f, 0.10995087f, 0.173857585f, 0.168114275f, 0.1374176f, 0.0895525441f,
     0.0278517883f, -0.0301776733f, -0.0491170883f, -0.0430609845f},
    {0.0105919838f, 0.00283052167f, 0.000330803741f, -1.52152197e-05f, 0.0f, 0.0f, 0.0f,
     0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.141181022f, 0.609985173f,
     -3.73457098f, 2.82073069f, -5.48109674f, -0.109819368f, 0.0735612214f,
     -0.0491430238f, -0.0946506262f, -0.0202935897f, -0.0405672751f, -0.0544179156f,
     -0.0719790086f, -0.0612129457f, -0.0306684021f, -0.0022365558f, 0.0113003412f},
};
/* clang-format on */

/* The tail of the normal distribution, in pieces of 1 / TAIL_STEPS around its multiples,
 * in units of which t is. */
#define TAIL_STEPS 5.41379309f
/* clang-format off */
static const _Alignas(64) float tail_pieces[7][32] = {
    {0.5f, 0.426726937f, 0.355904818f, 0.289741486f, 0.229997978f, 0.177855939f,
     0.133870393f, 0.0980066285f, 0.0697431117f, 0.0482142568f, 0.0323638767f,
     0.0210845675f, 0.0133265695f, 0.00816905126f, 0.00485502603f, 0.00279679126f,
     0.00156124856f, 0.000844371913f, 0.000442345219f, 0.000224429328f, 0.000110260771f,
     5.24474926e-05f, 2.41510406e-05f, 1.07647675e-05f, 4.64393452e-06f,
     1.93882738e-06f, 7.83297082e-07f, 3.06206289e-07f, 1.15816576e-07f,
     4.23806696e-08f, 1.50030353e-08f, 5.13783904e-09f},
    {-0.0736899748f, -0.0724435225f, -0.0688292384f, -0.0632016957f, -0.056087587f,
     -0.048104655f, -0.0398739874f, -0.0319429189f, -0.0247310065f, -0.0185050927f,
     -0.0133820623f, -0.00935270358f, -0.00631732913f, -0.00412393827f, -0.00260179536f,
     -0.00158641336f, -0.000934849959f, -0.000532414357f, -0.000293048739f,
     -0.000155887858f, -8.01432616e-05f, -3.98202501e-05f, -1.91215586e-05f,
     -8.8741117e-06f, -3.98023531e-06f, -1.72534101e-06f, -7.22808807e-07f,
     -2.92653823e-07f, -1.1451629e-07f, -4.33074518e-08f, -1.58285207e-08f,
     -5.59113777e-09f},
    {-2.07915534e-08f, 0.00123513071f, 0.00234924909f, 0.00323374011f, 0.00382739352f,
     0.00410273951f, 0.00408181502f, 0.00381464581f, 0.00337497448f, 0.00284120487f,
     0.00228300737f, 0.0017550193f, 0.001293223f, 0.000914581644f, 0.000621383602f,
     0.000405953266f, 0.000255170424f, 0.000154405003f, 8.99869265e-05f,
     5.05278331e-05f, 2.73439437e-05f, 1.42656863e-05f, 7.17654257e-06f,
     3.48195226e-06f, 1.62962363e-06f, 7.3583783e-07f, 3.20599952e-07f, 1.34797816e-07f,
     5.47005854e-08f, 2.14253149e-08f, 8.10079381e-09f, 2.95684544e-09f},
    {0.000419228425f, 0.000397911645f, 0.000337808655f, 0.000249067729f,
     0.000144826525f, 4.03321865e-05f, -5.18363049e-05f, -0.000122032223f,
     -0.000166428159f, -0.000185597673f, -0.00018355978f, -0.00016635716f,
     -0.000140569697f, -0.000111770918f, -8.41406945e-05f, -6.02332148e-05f,
     -4.11166911e-05f, -2.68248332e-05f, -1.67553062e-05f, -1.00319403e-05f,
     -5.76386628e-06f, -3.1807167e-06f, -1.68689087e-06f, -8.60343732e-07f,
     -4.22178033e-07f, -1.99405378e-07f, -9.06894044e-08f, -3.97279223e-08f,
     -1.6767526e-08f, -6.81998635e-09f, -2.67379341e-09f, -1.01065778e-09f},
    {-7.58283363e-07f, -2.87354965e-06f, -2.79160668e-05f, -1.61080989e-05f,
     -2.7587228e-05f, -2.03106556e-05f, -2.49014429e-05f, -1.57532486e-05f,
     -5.62781952e-06f, -2.03732361e-06f, 1.75805974e-06f, 6.20419769e-06f,
     7.27138467e-06f, 7.18842284e-06f, 6.62607135e-06f, 5.38289942e-06f, 4.1500939e-06f,
     3.02521403e-06f, 2.06020286e-06f, 1.34064089e-06f, 8.29305748e-07f,
     4.87829311e-07f, 2.75358985e-07f, 1.48738749e-07f, 7.71435467e-08f, 3.8333031e-08f,
     1.82902919e-08f, 8.38903258e-09f, 3.69380571e-09f, 1.56531832e-09f,
     6.38282649e-10f, 2.50396121e-10f},
    {-7.71437669e-07f, -2.04486378e-06f, -6.99332986e-07f, -9.91699267e-07f,
     6.29929131e-09f, 1.18949082e-07f, 1.46526861e-06f, 1.32083414e-06f, 1.1180399e-06f,
     1.10934116e-06f, 8.6587761e-07f, 3.20257101e-07f, 1.19183717e-07f,
     -5.98407368e-08f, -2.1108616e-07f, -2.39815023e-07f, -2.43084656e-07f,
     -2.15240874e-07f, -1.66869057e-07f, -1.22607545e-07f, -8.39476257e-08f,
     -5.3554075e-08f, -3.27104317e-08f, -1.89685405e-08f, -1.04874625e-08f,
     -5.5346514e-09f, -2.79266343e-09f, -1.34749867e-09f, -6.23391061e-10f,
     -2.76567547e-10f, -1.17859125e-10f, -4.80808587e-11f},
    {-9.20245498e-07f, -1.98344824e-05f, 2.26845295e-05f, -2.24652867e-05f,
     2.42604733e-06f, -1.18925418e-05f, 1.11143236e-05f, 3.52581606e-06f,
     -5.63473714e-06f, 2.60966686e-07f, 2.22677863e-06f, -1.45708646e-06f,
     -6.30390502e-07f, -1.80507538e-08f, -2.84976068e-07f, 3.25143077e-08f,
     2.91883619e-08f, -2.50973979e-08f, 9.0549177e-09f, 1.98864991e-09f,
     2.19642993e-09f, 5.99477179e-09f, 3.71925912e-09f, 2.37250863e-09f,
     1.10533216e-09f, 6.18540053e-10f, 3.26316585e-10f, 1.5224641e-10f, 8.15757462e-11f,
     3.79768612e-11f, 1.68006806e-11f, 7.51404234e-12f},
};
/* clang-format on */

static inline __m512 of_pieces(const float row[32], __m512i piece) {
  return _mm512_permutex2var_ps(_mm512_load_ps(row), piece, _mm512_load_ps(row + 16));
}

/* An odd function that is 1 from `end` on: tanh within 1.3 ulp, erf within 2.2. */
static inline __m512 odd_in_pieces(const float pieces[7][32], float end, __m512 x) {
  /* The operands' order lets NaN through. */
  const __m512 y = _mm512_min_ps(_mm512_set1_ps(end), _mm512_abs_ps(x));
  const __m512i first = _mm512_set1_epi32(0x3dffffff);
  const __m512i piece =
      _mm512_srli_epi32(_mm512_max_epu32(_mm512_castps_si512(y), first), 21);
  const __m512 t = _mm512_sub_ps(y, of_pieces(pieces[0], piece));
  __m512 p = of_pieces(pieces[6], piece);
#pragma GCC unroll 5
  for (int k = 5; k > 0; k--) p = _mm512_fmadd_ps(p, t, of_pieces(pieces[k], piece));
  const __m512 sign = _mm512_set1_ps(-0.0f);
  return _mm512_or_ps(p, _mm512_and_ps(x, sign));
}

#define ODD_LOOP(name, end)                                                              \
  static void loop_##name##_f32(float *out, const float *gs, const float *xs,            \
                                int64_t n) {                                             \
    for (int64_t at = 0; at < n; at += LANES) {                                          \
      __builtin_prefetch(xs + at + AHEAD);                                               \
      __builtin_prefetch(out + at + AHEAD, 1);                                           \
      const __m512 x = _mm512_loadu_ps(xs + at);                                         \
      _mm512_storeu_ps(out + at, odd_in_pieces(name##_pieces, end, x));                  \
    }                                                                                    \
  }
ODD_LOOP(tanh, 9.5f)
ODD_LOOP(erf, 3.95f)

/* What the key exceeds `most` for is computed by a function for any number, `any`, and
 * written where the mask tells. */
#define FAR(name, any)                                                                   \
  static __attribute__((noinline)) void far_##name(float *out, __m512 numbers,           \
                                                   __mmask16 far) {                      \
    _Alignas(64) float xs[LANES], results[LANES];                                        \
    _mm512_store_ps(xs, numbers);                                                        \
    for (int j = 0; j < LANES; j++) {                                                    \
      const float x = xs[j];                                                             \
      results[j] = any;                                                                  \
    }                                                                                    \
    _mm512_mask_storeu_ps(out, far, _mm512_load_ps(results));                            \
  }
/* `inner` and the key are expressions in x. */
#define WIDE_LOOP(name, key, most, inner, any)                                           \
  FAR(name, any)                                                                         \
  static void loop_##name##_f32(float *out, const float *gs, const float *xs,            \
                                int64_t n) {                                             \
    for (int64_t at = 0; at < n; at += LANES) {                                          \
      __builtin_prefetch(xs + at + AHEAD);                                               \
      __builtin_prefetch(out + at + AHEAD, 1);                                           \
      const __m512 x = _mm512_loadu_ps(xs + at);                                         \
      _mm512_storeu_ps(out + at, inner);                                                 \
      const __mmask16 far = _mm512_cmpgt_epu32_mask(key, _mm512_set1_epi32(most));       \
      if (__builtin_expect(far, 0)) far_##name(out + at, x, far);                        \
    }                                                                                    \
  }
#define SIZE_KEY _mm512_castps_si512(_mm512_abs_ps(x))

/* max(x, 0) - |x| tail(|x|), within 2.1 ulp. */
static inline __m512 gelu_in_pieces(__m512 x) {
  const __m512 y = _mm512_abs_ps(x);
  const __m512 steps = _mm512_set1_ps(TAIL_STEPS), magic = _mm512_set1_ps(12582912.0f);
  const __m512 shifted = _mm512_fmadd_ps(y, steps, magic);
  const __m512 t = _mm512_fmsub_ps(y, steps, _mm512_sub_ps(shifted, magic));
  const __m512i piece = _mm512_castps_si512(shifted);
  __m512 tail = of_pieces(tail_pieces[6], piece);
#pragma GCC unroll 6
  for (int k = 5; k >= 0; k--)
    tail = _mm512_fmadd_ps(tail, t, of_pieces(tail_pieces[k], piece));
  /* Of two zeros the second: -0 stays. */
  return _mm512_fnmadd_ps(y, tail, _mm512_max_ps(_mm512_setzero_ps(), x));
}
WIDE_LOOP(gelu_erf, SIZE_KEY, UP_TO_5_8, gelu_in_pieces(x), lp_gelu_f32(x))

/* exp(sign x), sign being 1 or -1, within 1 ulp: 2^(n / 16) e^r, n in whole sixteenths of
 * a power of two. The table has the bits of 2^(k / 16), less what the k in n adds to an
 * exponent. */
static const _Alignas(64) uint32_t sixteenths[16] = {
    0x3f800000, 0x3f7daac3, 0x3f7b95c2, 0x3f79c3d3, 0x3f7837f0, 0x3f76f532,
    0x3f75fed7, 0x3f75583f, 0x3f7504f3, 0x3f7508a4, 0x3f75672a, 0x3f76248c,
    0x3f7744fd, 0x3f78ccdf, 0x3f7ac0c7, 0x3f7d257d};
static inline __m512 exp_in_pieces(__m512 x, float sign) {
  const __m512 magic = _mm512_set1_ps(12582912.0f);
  const __m512 shifted = _mm512_fmadd_ps(x, _mm512_set1_ps(sign * 23.0831203f), magic);
  const __m512 n = _mm512_sub_ps(shifted, magic);
  __m512 r = sign < 0 ? _mm512_fnmsub_ps(n, _mm512_set1_ps(0.0433216989f), x)
                      : _mm512_fnmadd_ps(n, _mm512_set1_ps(0.0433216989f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-1.19040888e-10f), r);
  const __m512i whole = _mm512_castps_si512(shifted);
  const __m512i entry = _mm512_permutexvar_epi32(whole, _mm512_load_si512(sixteenths));
  const __m512 scale =
      _mm512_castsi512_ps(_mm512_add_epi32(entry, _mm512_slli_epi32(whole, 19)));
  const __m512 q =
      _mm512_fmadd_ps(r, _mm512_set1_ps(0.16666986f), _mm512_set1_ps(0.500016272f));
  const __m512 part = _mm512_fmadd_ps(_mm512_mul_ps(r, r), q, r);
  return _mm512_fmadd_ps(scale, part, scale);
}
/* a / (1 + exp(-x)), by a guess at the reciprocal within 2^-14 and Newton's step; within
 * 3.1 ulp. */
static inline __m512 gate_in_pieces(__m512 a, __m512 x) {
  const __m512 one = _mm512_set1_ps(1), b = _mm512_add_ps(exp_in_pieces(x, -1), one);
  const __m512 r = _mm512_rcp14_ps(b), quotient = _mm512_mul_ps(a, r);
  return _mm512_fmadd_ps(quotient, _mm512_fnmadd_ps(b, r, one), quotient);
}
WIDE_LOOP(exp, SIZE_KEY, UP_TO_87, exp_in_pieces(x, 1), lp_exp_f32(x))
WIDE_LOOP(sigmoid, SIZE_KEY, UP_TO_87, gate_in_pieces(_mm512_set1_ps(1), x),
          sigmoid_f32(x))
WIDE_LOOP(silu, SIZE_KEY, UP_TO_87, gate_in_pieces(x, x), silu_f32(x))

/* The root by a guess at its reciprocal within 2^-14, a common step of Newton's for both,
 * and what the square then lacks: with fused multiply-add as correctly rounded as the
 * instruction, which takes 19 cycles. (Tried with every number in [1, 4), which stands
 * for all others, and with other guesses no worse.) The square's rest must not be
 * subnormal. */
static inline __m512 sqrt_by_steps(__m512 x) {
  const __m512 r = _mm512_rsqrt14_ps(x), half = _mm512_set1_ps(0.5f);
  __m512 root = _mm512_mul_ps(x, r), h = _mm512_mul_ps(r, half);
  const __m512 e = _mm512_fnmadd_ps(root, h, half);
  root = _mm512_fmadd_ps(root, e, root);
  h = _mm512_fmadd_ps(h, e, h);
  return _mm512_fmadd_ps(_mm512_fnmadd_ps(root, root, x), h, root);
}
/* Within 1.1 ulp. */
static inline __m512 rsqrt_by_step(__m512 x) {
  const __m512 r = _mm512_rsqrt14_ps(x), half = _mm512_set1_ps(0.5f);
  const __m512 e = _mm512_fnmadd_ps(_mm512_mul_ps(x, r), r, _mm512_set1_ps(1));
  return _mm512_fmadd_ps(_mm512_mul_ps(r, half), e, r);
}
/* From 2^-100 on. */
#define LEAST_ROOT 0x0d800000
#define ROOT_KEY _mm512_sub_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(LEAST_ROOT))
WIDE_LOOP(sqrt, ROOT_KEY, 0x7f7fffff - LEAST_ROOT, sqrt_by_steps(x), sqrt_f32(x))
WIDE_LOOP(rsqrt, ROOT_KEY, 0x7f7fffff - LEAST_ROOT, rsqrt_by_step(x), rsqrt_f32(x))

#define LP_OWN_LOOP_sqrt_f32 ~, OWN
#define LP_OWN_LOOP_rsqrt_f32 ~, OWN
