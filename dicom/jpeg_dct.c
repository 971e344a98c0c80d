/* jpeg_dct.c: dequantisation and the inverse discrete cosine transform (T.81 A.3.3), in f32
 * straight from the definition: two products with the 8x8 matrix of cosines, using only that its
 * even rows are symmetric and its odd ones antisymmetric. Float has bits to spare for 12-bit
 * samples, so that the result is the exactly rounded one but for near ties, within the +-1 that
 * integer transforms differ among themselves. */
#include "dicom/jpeg_internal.h"

typedef float row8 __attribute__((vector_size(32)));

#define A 0.49039264f /* cos(k pi/16) / 2, k = 1, 2, … */
#define B 0.46193977f
#define C 0.41573481f
#define D 0.35355339f
#define E 0.27778512f
#define F 0.19134172f
#define G 0.09754516f

/* basis[u][x] = c(u)/2 cos((2x+1) u pi/16): what frequency u adds to sample x. */
static const row8 basis[8] = {
    {D, D, D, D, D, D, D, D},     {A, C, E, G, -G, -E, -C, -A}, {B, F, -F, -B, -B, -F, F, B},
    {C, -G, -A, -E, E, A, G, -C}, {D, -D, -D, D, D, -D, -D, D}, {E, -A, G, C, -C, -G, A, -E},
    {F, -B, B, -F, -F, B, -B, F}, {G, -E, C, -A, A, -C, E, -G},
};

static void store(const row8 *row, float level, uint32_t max, uint16_t *out) {
    float top = (float)max;
    for (int x = 0; x < 8; x++) {
        float v = (*row)[x] + (level + 0.5f); /* rounds half up, for it is not negative below */
        v = v > top ? top : v;
        out[x] = (uint16_t)(int32_t)(v > 0 ? v : 0);
    }
}

void mg_jpeg_inverse_dct(const int16_t block[64], const uint16_t quant[64], uint32_t max,
                         uint16_t *out, size_t stride) {
    float level = (float)((max + 1) / 2);
    /* Rows of coefficients that are all zero, as most are, take no part. */
    row8 in[8];
    bool used[8];
    uint16_t ac = 0;
    for (int v = 0; v < 8; v++) {
        uint16_t any = 0;
        for (int u = 0; u < 8; u++) {
            any |= (uint16_t)block[8 * v + u];
            in[v][u] = (float)(block[8 * v + u] * (int32_t)quant[8 * v + u]);
        }
        used[v] = any != 0;
        ac |= v ? any : 0;
    }
    for (int u = 1; u < 8; u++) ac |= (uint16_t)block[u];
    if (!ac) {
        row8 flat = (row8){0} + in[0][0] * 0.125f;
        for (int y = 0; y < 8; y++) store(&flat, level, max, out + (size_t)y * stride);
        return;
    }
    row8 column[8]; /* column[y][u]: transformed vertically */
    for (int y = 0; y < 4; y++) {
        row8 even = {0}, odd = {0};
        for (int v = 0; v < 8; v += 2) {
            if (used[v]) even += basis[v][y] * in[v];
            if (used[v + 1]) odd += basis[v + 1][y] * in[v + 1];
        }
        column[y] = even + odd;
        column[7 - y] = even - odd;
    }
    for (int y = 0; y < 8; y++) {
        row8 sum = column[y][0] * basis[0];
        for (int u = 1; u < 8; u++) sum += column[y][u] * basis[u];
        store(&sum, level, max, out + (size_t)y * stride);
    }
}
