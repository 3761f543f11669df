#!/usr/bin/env python3
"""Writes tensor/cpu/special_tables.h: series of the special functions, computed to 40 digits.

Run by hand, with mpmath: python3 scripts/gen/special_tables.py
Chebyshev series are interpolated at the Chebyshev points of an interval and cut where the terms no
longer count in double precision. Sources of the expansions stand beside them.
"""
import os
from fractions import Fraction

from mpmath import airyai, besseli, besselk, cos, digamma, erfc, exp, findroot, log, mp, mpf, nstr, pi, sqrt, zeta

mp.dps = 40
OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tensor", "cpu", "special_tables.h")
lines = []


def array(name, values, comment, dims="[]"):
    lines.append("/* %s */" % comment)
    lines.append("static const double %s%s = {" % (name, dims))
    row = "   "
    for v in values:
        text = " %s," % (nstr(mpf(v), 17) if not isinstance(v, str) else v)
        if len(row) + len(text) > 88:
            lines.append(row)
            row = "   "
        row += text
    lines.append(row)
    lines.append("};\n")


def chebyshev(name, f, comment, points=80):
    """Coefficients of f on [-1, 1]; the first is halved already."""
    nodes = [cos(pi * (mpf(k) + 0.5) / points) for k in range(points)]
    values = [f(t) for t in nodes]
    out = []
    for j in range(points):
        c = 2 * sum(v * cos(pi * j * (mpf(k) + 0.5) / points) for k, v in enumerate(values)) / points
        out.append(c / 2 if j == 0 else c)
    while abs(out[-1]) < mpf(10) ** -18 * abs(out[0]):
        out.pop()
    array(name, out, comment)


def bessel():
    def below8(order, divide):
        def f(t):
            x = 4 * (t + 1)
            return exp(-x) * besseli(order, x) / (x if divide else 1)
        return f

    def above(kind, order, limit):
        def f(t):
            x = 2 * limit / (t + 1)
            return sqrt(x) * (exp(-x) * besseli(order, x) if kind == "i" else exp(x) * besselk(order, x))
        return f

    chebyshev("i0_small", below8(0, False), "exp(-x) I0(x), x = 4 (t + 1)")
    chebyshev("i0_large", above("i", 0, 8), "sqrt(x) exp(-x) I0(x), x = 16 / (t + 1)")
    chebyshev("i1_small", below8(1, True), "exp(-x) I1(x) / x, x = 4 (t + 1)")
    chebyshev("i1_large", above("i", 1, 8), "sqrt(x) exp(-x) I1(x), x = 16 / (t + 1)")

    def k0(t):
        x = sqrt((t + 1) / 2)
        return besselk(0, x) + log(x / 2) * besseli(0, x)

    def k1(t):
        x = sqrt((t + 1) / 2)
        return x * (besselk(1, x) - log(x / 2) * besseli(1, x))

    chebyshev("k0_small", k0, "K0(x) + log(x / 2) I0(x), x^2 = (t + 1) / 2")
    chebyshev("k0_large", above("k", 0, 1), "sqrt(x) exp(x) K0(x), x = 2 / (t + 1)")
    chebyshev("k1_small", k1, "x (K1(x) - log(x / 2) I1(x)), x^2 = (t + 1) / 2")
    chebyshev("k1_large", above("k", 1, 1), "sqrt(x) exp(x) K1(x), x = 2 / (t + 1)")


def erfcx():
    k = mpf(15) / 4

    def f(t):
        x = k * (1 + t) / (1 - t)
        return (1 + 2 * x) * exp(x * x) * erfc(x)

    chebyshev("erfcx_series", f, "(1 + 2 x) erfcx(x), t = (x - 3.75) / (x + 3.75); Shepherd and Laframboise 1981", 100)


def airy():
    nodes = []
    for c in range(-10, 11):
        nodes += [airyai(c), airyai(c, derivative=1)]
    array("airy_nodes", nodes, "Ai(c), Ai'(c) for c = -10 ... 10")


def gamma():
    root = findroot(digamma, mpf("1.4616321449683623"))
    assert float(root) == 1.4616321449683622457

    def slope(t):
        x = (t + 3) / 2
        return digamma(x) / (x - root)

    chebyshev("digamma_slope", slope, "digamma(x) / (x - root), x = (t + 3) / 2; the root less its double: %s"
              % nstr(root - mpf(float(root)), 20))
    array("zeta_less_one", [zeta(k) - 1 for k in range(2, 30)], "zeta(k) - 1 for k = 2 ... 29")


def temme(orders=9, terms=30):
    """c_k(eta), DLMF 8.12.9-11, as power series. mu mu' = eta (1 + mu) gives mu(eta)."""
    n = terms + 2 * orders + 4
    mu = [Fraction(0), Fraction(1)]
    for m in range(2, n):
        # The coefficient of eta^m in mu mu' - eta mu = eta.
        known = sum(mu[i] * (m + 1 - i) * mu[m + 1 - i] for i in range(2, m))
        mu.append((mu[m - 1] - known) / (m + 1))
    # 1 / mu = (1 / eta) / (1 + mu[2] eta + ...)
    inverse = [Fraction(1)]
    for m in range(1, n - 1):
        inverse.append(-sum(mu[i + 1] * inverse[m - i] for i in range(1, m + 1)))
    first = inverse[1:]
    row, rows = first, []
    for k in range(orders):
        rows.append(row)
        g = -row[1]
        row = [(i + 2) * row[i + 2] + g * first[i] for i in range(len(row) - 2)]
    flat = []
    for k, r in enumerate(rows):
        flat += [mpf(v.numerator) / v.denominator for v in r[:terms]]
    lines.append("#define TEMME_ORDERS %d" % orders)
    lines.append("#define TEMME_TERMS %d" % terms)
    array("temme", flat, "Coefficients of eta^n in c_k(eta), row k; Temme 1979, DLMF 8.12.9-11")


lines.append("""/* Tables of cpu/special*.c, computed by scripts/gen/special_tables.py; every file uses those it
 * needs. Do not edit. Chebyshev series stand in the order of their degrees, the first halved. */
#ifndef LP_CPU_SPECIAL_TABLES_H
#define LP_CPU_SPECIAL_TABLES_H

/* clang-format off */
#if defined(LP_TABLES_BESSEL)""")
bessel()
airy()
lines.append("#elif defined(LP_TABLES_ERF)")
erfcx()
lines.append("#elif defined(LP_TABLES_GAMMA)")
gamma()
temme()
lines.append("#endif\n#endif")
with open(OUT, "w") as out:
    out.write("\n".join(lines) + "\n")
