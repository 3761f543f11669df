/* Overlaps of rotated boxes; see boxes.h. */
#include <math.h>
#include "cpu/boxes.h"

typedef struct Point {
  double x, y;
} Point;

/* The corners, in an order that runs round the box. y points down, so that an angle
 * counter-clockwise on the screen turns from x to -y. */
static void corners(const double box[5], Point out[4]) {
  double angle = box[4] * 0.017453292519943295;
  double c = cos(angle) / 2, s = sin(angle) / 2;
  Point w = {c * box[2], -s * box[2]}, h = {s * box[3], c * box[3]};
  out[0] = (Point){box[0] - w.x - h.x, box[1] - w.y - h.y};
  out[1] = (Point){box[0] + w.x - h.x, box[1] + w.y - h.y};
  out[2] = (Point){box[0] + w.x + h.x, box[1] + w.y + h.y};
  out[3] = (Point){box[0] - w.x + h.x, box[1] - w.y + h.y};
}

/* Positive on the inner side of the edge a to b. */
static double side(Point a, Point b, Point p) {
  return (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x);
}

/* What of a polygon of n corners lies on the inner side of an edge (Sutherland and
 * Hodgman 1974); the number of corners, at most n + 1. */
static int clip(const Point *in, int n, Point a, Point b, Point *out) {
  int m = 0;
  for (int i = 0; i < n; i++) {
    Point p = in[i], q = in[(i + 1) % n];
    double sp = side(a, b, p), sq = side(a, b, q);
    if (sp >= 0) out[m++] = p;
    if ((sp > 0 && sq < 0) || (sp < 0 && sq > 0)) {
      double t = sp / (sp - sq);
      out[m++] = (Point){p.x + t * (q.x - p.x), p.y + t * (q.y - p.y)};
    }
  }
  return m;
}

double lp_rotated_iou(const double a[5], const double b[5]) {
  double area_a = a[2] * a[3], area_b = b[2] * b[3];
  if (!(area_a >= 1e-14 && area_b >= 1e-14 && a[2] > 0 && b[2] > 0)) return 0;
  /* About the midpoint, which keeps the digits of boxes far from the origin. */
  double mx = (a[0] + b[0]) / 2, my = (a[1] + b[1]) / 2;
  const double na[5] = {a[0] - mx, a[1] - my, a[2], a[3], a[4]};
  const double nb[5] = {b[0] - mx, b[1] - my, b[2], b[3], b[4]};
  Point pa[4], pb[4], one[12], two[12];
  corners(na, pa);
  corners(nb, pb);
  int n = 4;
  for (int i = 0; i < 4; i++) one[i] = pa[i];
  for (int i = 0; i < 4 && n > 2; i++) {
    n = clip(one, n, pb[i], pb[(i + 1) % 4], two);
    for (int k = 0; k < n; k++) one[k] = two[k];
  }
  double twice = 0;
  for (int k = 1; k + 1 < n; k++) twice += side(one[0], one[k], one[k + 1]);
  double both = fabs(twice) / 2;
  return both / (area_a + area_b - both);
}
