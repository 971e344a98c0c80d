/* phantom_canvas.c: power-law noise by refinement.
 *
 * White noise on a coarse periodic grid is doubled in resolution with a smooth kernel (the
 * quadratic B-spline's subdivision rule) and finer white noise is added, over and over. That costs
 * a few operations per texel, needs no Fourier transform, and the coarse structure does not change
 * with the resolution: a larger image of the same patient shows the same tissue with
 * more detail. */
#include "data/phantom_internal.h"

enum { FIRST_LEVEL = 2 };

static void add_noise(float *texel, int side, const mg_rng_key *key, float amplitude) {
    int64_t n = (int64_t)side * side; /* a multiple of 4: side >= 4 */
    for (int64_t i = 0; i < n; i += 4) {
        uint32_t w[4];
        mg_rng_words(key, (uint32_t)(i >> 2), w);
        for (int k = 0; k < 4; k++) texel[i + k] += amplitude * word_normal(w[k]);
    }
}

/* The cubic B-spline's subdivision along a row: midpoints first, then each old point moves half way
 * towards the mean of its two midpoints. */
static void refine_row(const float *in, int side, float *out) {
    for (int i = 0; i < side; i++) {
        float here = in[i], after = in[(i + 1) & (side - 1)];
        out[2 * i] = here;
        out[2 * i + 1] = 0.5f * (here + after);
    }
    float before = out[2 * side - 1];
    for (int i = 0; i < side; i++) {
        float after = out[2 * i + 1];
        out[2 * i] = 0.5f * out[2 * i] + 0.25f * (before + after);
        before = after;
    }
}

/* The same down the columns: widened rows go to the even rows of `out`. */
static void refine(const float *in, int side, float *out) {
    int wide = 2 * side;
    for (int y = 0; y < side; y++)
        refine_row(in + (size_t)y * side, side, out + (size_t)2 * y * wide);
    for (int y = 0; y < side; y++) {
        const float *here = out + (size_t)2 * y * wide;
        const float *after = out + (size_t)((2 * y + 2) & (wide - 1)) * wide;
        float *middle = out + (size_t)(2 * y + 1) * wide;
        for (int x = 0; x < wide; x++) middle[x] = 0.5f * (here[x] + after[x]);
    }
    for (int y = 0; y < side; y++) {
        const float *before = out + (size_t)((2 * y - 1) & (wide - 1)) * wide;
        const float *after = out + (size_t)(2 * y + 1) * wide;
        float *here = out + (size_t)2 * y * wide;
        for (int x = 0; x < wide; x++) here[x] = 0.5f * here[x] + 0.25f * (before[x] + after[x]);
    }
}

static void normalise(float *texel, int64_t n) {
    double sum = 0, square = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)texel[i];
    float mean = (float)(sum / (double)n);
    for (int64_t i = 0; i < n; i++) {
        texel[i] -= mean;
        square += (double)texel[i] * (double)texel[i];
    }
    float scale = square > 0 ? (float)(1.0 / sqrt(square / (double)n)) : 0.0f;
    for (int64_t i = 0; i < n; i++) texel[i] *= scale;
}

void mg_phantom_canvas_fill(phantom_canvas *c, uint64_t seed, int patient, uint32_t sample,
                            float longest, float shortest, float falloff) {
    float *texel = c->texel, *spare = c->spare, amplitude = 1.0f;
    int level = FIRST_LEVEL, side = 1 << FIRST_LEVEL;
    memset(texel, 0, (size_t)side * side * sizeof *texel);
    for (;;) {
        float wavelength = 2.0f * MG_PHANTOM_CANVAS_MM / (float)side;
        if (wavelength <= longest && wavelength >= shortest) {
            mg_rng_key key = stream_key(seed, STREAM_CANVAS + (uint32_t)level, patient, sample);
            add_noise(texel, side, &key, amplitude);
            amplitude *= falloff;
        }
        if (side >= c->side) break;
        refine(texel, side, spare);
        float *t = texel;
        texel = spare;
        spare = t;
        side *= 2;
        level++;
    }
    normalise(texel, (int64_t)side * side);
    c->texel = texel;
    c->spare = spare;
}
