/* tiles.h: the matrix unit of Intel's processors since Sapphire Rapids (AMX), as macros.
 *
 * It has eight tile registers of 16 rows by 64 bytes. A tile of A holds 16 rows of 32 bfloat16
 * numbers as they lie in memory; a tile of B holds 16 rows of cells (bf16.h), a cell being the two
 * numbers of one column at depths 2k and 2k + 1; a tile of sums is 16 x 16 floats. One instruction,
 *
 *     TILE_DOT(c, a, b):  c[m][n] += sum over k of a[m][2k] b[2k][n] + a[m][2k+1] b[2k+1][n],
 *
 * is 8192 multiply-adds in 16 cycles, where AVX-512 makes 512 in f32. The numbers of the registers
 * are part of the instructions, so they are constants here too.
 *
 * Every thread configures its tiles with tiles_begin() and gives them up with tiles_end(), so that
 * the system need not save 8 KiB more whenever it switches threads. The process has asked the
 * kernel for the unit before (bf16_units.c).
 *
 * Compiled without AMX, the same macros are loops in C: so its kernels are tested everywhere, and
 * where there is AMX both must give the same bits. Rounding as the manual has it: products of even
 * and of odd depths are summed apart, by multiply-adds with one rounding, and added at the end;
 * denormals count as zero.
 * Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, TDPBF16PS. */
#ifndef MG_OPS_CPU_TILES_H
#define MG_OPS_CPU_TILES_H

#include "ops/cpu/bf16.h"

enum { TILE_SIDE = 16 }; /* rows of a tile; cells or floats of one of its rows */

#if defined(__AMX_BF16__)

#define TILE_ZERO(t)                  _tile_zero(t)
#define TILE_LOAD(t, from, row_bytes) _tile_loadd(t, from, row_bytes)
#define TILE_STORE(t, to, row_bytes)  _tile_stored(t, to, row_bytes)
#define TILE_DOT(c, a, b)             _tile_dpbf16ps(c, a, b)

/* What was stored before is in memory before tiles or their configuration are loaded: gcc does not
 * know that the loads read it. */
static inline void tiles_see_memory(const void *memory) {
    __asm__ volatile("" : : "r"(memory) : "memory");
}

static inline void tiles_begin(void) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } c = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        c.row_bytes[t] = 4 * TILE_SIDE;
        c.rows[t] = TILE_SIDE;
    }
    tiles_see_memory(&c);
    _tile_loadconfig(&c);
}
static inline void tiles_end(void) { _tile_release(); }

#else

typedef float tile_rows[TILE_SIDE][TILE_SIDE];
static _Thread_local tile_rows tile_register[8];

static void tile_load(tile_rows t, const float *from, size_t row_bytes) {
    for (int m = 0; m < TILE_SIDE; m++)
        memcpy(t[m], (const char *)from + (size_t)m * row_bytes, 64);
}
static void tile_store(tile_rows t, float *to, size_t row_bytes) {
    for (int m = 0; m < TILE_SIDE; m++) memcpy((char *)to + (size_t)m * row_bytes, t[m], 64);
}
/* Of a denormal nothing but its sign is left. */
static float tile_flushed(float a) {
    uint32_t u = bf16_cell(a);
    return bf16_float(u & 0x7f800000u ? u : u & 0x80000000u);
}
/* Half h of a cell as a float. */
static float tile_half(float cell, int h) {
    uint32_t u = bf16_cell(cell);
    return tile_flushed(bf16_float(h ? u & 0xffff0000u : u << 16));
}
static void tile_dot(tile_rows c, tile_rows a, tile_rows b) {
    for (int m = 0; m < TILE_SIDE; m++)
        for (int n = 0; n < TILE_SIDE; n++) {
            float even = 0, odd = 0;
            for (int k = 0; k < TILE_SIDE; k++) {
                even = tile_flushed(fmaf(tile_half(a[m][k], 0), tile_half(b[k][n], 0), even));
                odd = tile_flushed(fmaf(tile_half(a[m][k], 1), tile_half(b[k][n], 1), odd));
            }
            c[m][n] = tile_flushed(tile_flushed(c[m][n]) + tile_flushed(even + odd));
        }
}
#define TILE_ZERO(t)                  memset(tile_register[t], 0, sizeof(tile_rows))
#define TILE_LOAD(t, from, row_bytes) tile_load(tile_register[t], from, (size_t)(row_bytes))
#define TILE_STORE(t, to, row_bytes)  tile_store(tile_register[t], to, (size_t)(row_bytes))
#define TILE_DOT(c, a, b)             tile_dot(tile_register[c], tile_register[a], tile_register[b])

static inline void tiles_begin(void) {}
static inline void tiles_end(void) {}
static inline void tiles_see_memory(const void *memory) { (void)memory; }

#endif

#endif
