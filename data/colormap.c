#include "data/colormap.h"

#include <math.h>
#include <pthread.h>

/* OKLab (B. Ottosson 2020): sRGB -> linear -> cone-like responses -> cube root -> lightness and two
 * opponent axes. The matrices are the published ones. */

static double linear_from_srgb(double v) {
    return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

static double srgb_from_linear(double v) {
    if (v <= 0.0031308) return 12.92 * v;
    return 1.055 * pow(v, 1 / 2.4) - 0.055;
}

void mg_oklab_from_srgb(const double rgb[3], double lab[3]) {
    double r = linear_from_srgb(rgb[0]), g = linear_from_srgb(rgb[1]), b = linear_from_srgb(rgb[2]);
    double l = cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
    double m = cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
    double s = cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
    lab[0] = 0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s;
    lab[1] = 1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s;
    lab[2] = 0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s;
}

void mg_srgb_from_oklab(const double lab[3], double rgb[3]) {
    double l = lab[0] + 0.3963377774 * lab[1] + 0.2158037573 * lab[2];
    double m = lab[0] - 0.1055613458 * lab[1] - 0.0638541728 * lab[2];
    double s = lab[0] - 0.0894841775 * lab[1] - 1.2914855480 * lab[2];
    l = l * l * l;
    m = m * m * m;
    s = s * s * s;
    rgb[0] = srgb_from_linear(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s);
    rgb[1] = srgb_from_linear(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s);
    rgb[2] = srgb_from_linear(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s);
}

/* Lightness, chroma, hue in degrees: dusk, plum, crimson, orange, amber, straw. Chosen by eye to
 * stay within sRGB and away from the greys of a mammogram. */
enum { CONTROLS = 6, FINE = 2048 };
static const double control[CONTROLS][3] = {
    {0.24, 0.100, 300}, {0.38, 0.160, 333}, {0.52, 0.190, 368},
    {0.66, 0.180, 402}, {0.81, 0.155, 437}, {0.95, 0.085, 464},
};

static void lab_from_lch(const double lch[3], double lab[3]) {
    const double degree = 3.14159265358979323846 / 180;
    lab[0] = lch[0];
    lab[1] = lch[1] * cos(lch[2] * degree);
    lab[2] = lch[1] * sin(lch[2] * degree);
}

/* Catmull-Rom through the controls, t in [0, 1]. The controls are even enough that it rises
 * wherever they do. */
static void along_controls(double t, double lab[3]) {
    double at = t * (CONTROLS - 1), lch[3];
    int i = at >= CONTROLS - 1 ? CONTROLS - 2 : (int)at;
    double u = at - i;
    for (int k = 0; k < 3; k++) {
        double b = control[i][k], c = control[i + 1][k];
        double a = i > 0 ? control[i - 1][k] : 2 * b - c;
        double d = i + 2 < CONTROLS ? control[i + 2][k] : 2 * c - b;
        lch[k] =
            b + 0.5 * u * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)));
    }
    lab_from_lch(lch, lab);
}

static uint8_t table[256][3];

static void make_table(void) {
    static double length[FINE + 1]; /* of the curve up to each fine step; once, under the lock */
    double before[3], lab[3], rgb[3];
    along_controls(0, before);
    length[0] = 0;
    for (int i = 1; i <= FINE; i++) {
        along_controls((double)i / FINE, lab);
        double square = 0;
        for (int k = 0; k < 3; k++) {
            square += (lab[k] - before[k]) * (lab[k] - before[k]);
            before[k] = lab[k];
        }
        length[i] = length[i - 1] + sqrt(square);
    }
    int step = 0;
    for (int i = 0; i < 256; i++) {
        double wanted = length[FINE] * i / 255;
        while (step + 1 < FINE && length[step + 1] < wanted) step++;
        double part = (wanted - length[step]) / (length[step + 1] - length[step]);
        along_controls((step + part) / FINE, lab);
        mg_srgb_from_oklab(lab, rgb);
        for (int k = 0; k < 3; k++) table[i][k] = (uint8_t)lround(255 * fmin(1, fmax(0, rgb[k])));
    }
}

const uint8_t (*mg_colormap_ember(void))[3] {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_table);
    return (const uint8_t(*)[3])table;
}
