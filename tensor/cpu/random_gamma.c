/* See random_gamma.h.
 *
 * Note [Implicit reparameterisation]: a number x of a distribution F(.; a) moves with the
 * parameter a so that F(x; a) stays: dx/da = -(dF/da) / f (Figurnov, Mohamed, Mnih 2018).
 * dF/da of the Gamma and Beta distributions has no closed form. Near the ends of the
 * support its power series serves, for large parameters Rice's saddle point expansion,
 * and between them rational functions in logarithms, whose coefficients are those that
 * PyTorch published (F. Obermeyer, 2017, good to about 5e-4), so that gradients agree
 * with PyTorch's to rounding. */
#include "cpu/random_gamma.h"

#include <math.h>
#include "cpu/special.h"

/* Marsaglia and Tsang (2000); below 1 the shape is raised by 1 and the result scaled by a
 * power of a uniform number. */
double lp_cpu_random_gamma(LpGenerator *g, double shape, bool single) {
  double scale = 1;
  if (shape == 0) return 0;
  if (shape < 1) {
    double power = single ? 1.0f / (float)shape : 1 / shape;
    scale = pow(1 - lp_random_double(g), power);
    shape = single ? (float)shape + 1.0f : shape + 1;
  }
  const float third = 1.0f / 3.0f; /* a float for doubles too, as in PyTorch */
  const double d = single ? (float)shape - third : shape - (double)third;
  if (!(d > 0)) return NAN; /* the loop would not end */
  const double c = 1 / sqrt(9 * d);
  double cube, x, u, bound;
  do {
    double root;
    do {
      x = lp_random_normal(g);
      root = 1 + c * x;
    } while (root <= 0);
    cube = root * root * root;
    u = 1 - lp_random_double(g);
    bound = x * x;
  } while (u >= 1 - (double)0.0331f * bound * bound &&
           log(u) >= 0.5 * bound + d * (1 - cube + log(cube)));
  return scale * d * cube;
}

/* --- derivatives by the parameters
 * ------------------------------------------------------------------------------------ */

/* A series that overflows or meets 0 times infinity at the edge of the support moves no
 * sample. */
static double finite_part(double v) {
  return isnan(v) ? 0 : v;
}

/* F(x; a) = x^a / Gamma(a) * sum (-x)^i / (i! (a + i)), differentiated term by term. */
static double gamma_grad_series(double a, double x) {
  double term = 1, sum = 0, sum_of_squares = 0;
  for (int i = 0; i <= 5; i++) {
    if (i > 0) term *= -x / i;
    sum += term / (a + i);
    sum_of_squares += term / ((a + i) * (a + i));
  }
  return finite_part(x * exp(x) * (sum_of_squares - (log(x) - lp_digamma_f64(a)) * sum));
}

/* Rice's expansion round the saddle point, for large a; close to the mean, where it is 0
 * / 0, its own expansion. */
static double gamma_grad_saddle(double a, double x) {
  if ((double)0.9f * a <= x && x <= (double)1.1f * a) {
    double lead = 1 + 24 * a * (1 + 12 * a);
    double rest =
        1440 * (a * a) + 6 * x * (53 - 120 * x) - 65 * x * x / a + a * (107 + 3600 * x);
    return lead * rest / (1244160 * (a * a) * (a * a));
  }
  double width = sqrt(8 * a), gap = a - x, ratio = log(x / a);
  double tail = pow(x - a - a * ratio, -1.5);
  double slope = ratio * (width / gap + (gap > 0 ? -tail : tail)) -
                 sqrt(2 / a) * (a + x) / (gap * gap);
  double stirling = 1 + 1 / (12 * a) * (1 + 1 / (24 * a));
  return -stirling * x * slope / width;
}

/* Rows: powers of log(x / a); columns: powers 0..3 of log(a) of the numerator, then of
 * the denominator. */
static const double gamma_ratio[3][8] = {
    {0.16009398, -0.094634809, 0.025146376, -0.0030648343, 1, 0.32668115, 0.10406089,
     0.0014179084},
    {0.53487893, 0.1298071, 0.065735949, -0.0015649758, 0.16639465, 0.020070113,
     -0.0035938915, -0.00058392623},
    {0.040121004, -0.0065914022, -0.0026286047, -0.0013441777, 0.017050642, -0.0021309326,
     0.00085092367, -1.5247877e-07}};

static double cubic(const double c[4], double x) {
  return c[0] + x * (c[1] + x * (c[2] + x * c[3]));
}

double lp_standard_gamma_grad_f64(double a, double x) {
  if (x < (double)0.8f) return gamma_grad_series(a, x);
  if (a > 8) return gamma_grad_saddle(a, x);
  double u = log(x / a), v = log(a), by_v[8];
  for (int i = 0; i < 8; i++)
    by_v[i] = gamma_ratio[0][i] + u * (gamma_ratio[1][i] + u * gamma_ratio[2][i]);
  return exp(cubic(by_v, v) / cubic(by_v + 4, v));
}

/* The series of the Beta distribution function at small x, differentiated by alpha. */
static double beta_grad_alpha_series(double x, double alpha, double beta) {
  double shift = lp_digamma_f64(alpha) - lp_digamma_f64(alpha + beta) - log(x), term = 1,
         sum = 0;
  for (int i = 0; i <= 10; i++) {
    if (i > 0) term *= (i - beta) * x / i;
    sum += term / (alpha + i) * (shift + 1 / (alpha + i));
  }
  return finite_part(x * pow(1 - x, -beta) * sum);
}

/* The same by beta: `product` runs over (beta - 1) (beta - 2) ..., `derivative` is that
 * of it. */
static double beta_grad_beta_series(double x, double alpha, double beta) {
  double shift = lp_digamma_f64(alpha + beta) - lp_digamma_f64(beta);
  double term = 1, product = 1, derivative = 0, sum = shift / alpha;
  for (int i = 1; i <= 8; i++) {
    term *= -x / i;
    derivative = derivative * (beta - i) + product;
    product *= beta - i;
    sum += term / (alpha + i) * (derivative + shift * product);
  }
  return finite_part(-pow(1 - x, 1 - beta) * sum);
}

static double stirling_series(double a) {
  return 1 + 1 / (12 * a) + 1 / (288 * a * a);
}

/* Rice's expansion for two large parameters; within a tenth of the deviation of the mean,
 * where it is 0 / 0, its own. */
static double beta_grad_saddle(double x, double a, double b) {
  const double total = a + b, mean = a / total,
               deviation = sqrt(a * b / (total + 1)) / total, y = 1 - x;
  if (fabs(x - mean) <= 0.1 * deviation) {
    const double bb = b * b;
    const double by_a[5] = {47 * x * bb * bb, (43 + 20 * (16 + 27 * b) * x) * bb * b,
                            3 * (59 + 180 * b - 90 * x) * bb,
                            (453 + 1620 * b * y - 455 * x) * b, 8 * y * (135 * b - 11)};
    double sum = 0;
    for (int i = 4; i >= 0; i--) sum = by_a[i] + a * sum;
    return (1 + 12 * a) * (1 + 12 * b) / (total * total) / y * sum /
           (12960 * a * a * a * bb * (1 + 12 * total));
  }
  const double gap = b * x - a * y, log_a = log(a / (total * x)),
               log_b = log(b / (total * y));
  const double stirling =
      stirling_series(a) * stirling_series(b) / stirling_series(total);
  const double straight = -(2 * (a * a) * y + a * b * y + x * (b * b)) /
                          (sqrt(2 * a / b) * pow(total, 1.5) * gap * gap);
  const double tail = pow(b * log_b + a * log_a, -1.5);
  const double bent = sqrt(8 * a * b / total) / gap + (x < mean ? tail : -tail);
  return stirling * -x / sqrt(2 * a * b / total) * (straight + 0.5 * log_a * bent);
}

/* [numerator, denominator][power of log x][power of log(alpha / x)][power of log(total x
 * / alpha)]. */
static const double beta_ratio[2][3][3][4] = {
    {{{1.003668233, -0.01061107488, -0.0657888334, 0.01201642863},
      {0.6336835991, -0.3557432599, 0.05486251648, -0.001465281033},
      {-0.03276231906, 0.004474107445, 0.002429354597, -0.0001557569013}},
     {{0.221950385, -0.3187676331, 0.01799915743, 0.01074823814},
      {-0.2951249643, 0.06219954479, 0.01535556598, 0.001550077057},
      {0.02155310298, 0.004170831599, 0.001292462449, 6.976601077e-05}},
     {{-0.05980841433, 0.008441916499, 0.01085618172, 0.002319392565},
      {0.02911413504, 0.01400243777, -0.002721828457, 0.000751041181},
      {0.005900514878, -0.001936558688, -9.495446725e-06, 5.385558597e-05}}},
    {{{1, -0.02924021934, -0.04438342661, 0.007285809825},
      {0.6357567472, -0.3473456711, 0.05454656494, -0.002407477521},
      {-0.03301322327, 0.004845219414, 0.00231480583, -0.0002307248149}},
     {{0.5925320577, -0.1757678135, 0.01505928619, 0.000564515273},
      {0.1014815858, -0.06589186703, 0.01272886114, -0.0007316646956},
      {-0.007258481865, 0.001096195486, 0.0003934994223, -4.12701925e-05}},
     {{0.06469649321, -0.0236701437, 0.002902096474, -5.896963079e-05},
      {0.001925008108, -0.002869809258, 0.0008000589141, -6.063713228e-05},
      {-0.0003477407336, 6.959756487e-05, 1.097287507e-05, -1.650964693e-06}}}};

static double ratio_side(const double c[3][3][4], double u, double a, double b) {
  double sum = 0, power_u = 1;
  for (int i = 0; i < 3; i++, power_u *= u) {
    double power_a = 1;
    for (int j = 0; j < 3; j++, power_a *= a)
      sum += power_u * power_a * cubic(c[i][j], b);
  }
  return sum;
}

double lp_dirichlet_grad_f64(double x, double alpha, double total) {
  const double beta = total - alpha, spread = total * x * (1 - x);
  if (x <= 0.5 && spread < 2.5) return beta_grad_alpha_series(x, alpha, beta);
  if (x >= 0.5 && spread < 0.75) return -beta_grad_beta_series(1 - x, beta, alpha);
  if (alpha > 6 && beta > 6) return beta_grad_saddle(x, alpha, beta);
  const double u = log(x), a = log(alpha) - u, b = log(total) - a;
  const double near = x * (lp_digamma_f64(total) - lp_digamma_f64(alpha)) / beta;
  return ratio_side(beta_ratio[0], u, a, b) / ratio_side(beta_ratio[1], u, a, b) * near;
}
