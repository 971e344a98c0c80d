/* jls_scan.c: the entropy decoder of JPEG-LS (ITU-T T.87 annex A), lossless and near-lossless.
 *
 * Why not the library that the encoder uses: in the versions that distributions carry, damaged data
 * can send its decoder into an endless loop, which no check of headers prevents. Here every loop is
 * bounded by the row, every parameter by its range, and data that ends early, ends late or holds
 * errors beyond the value range is reported.
 *
 * A row is kept with a border sample on both sides, so that the four neighbours of a sample (Ra
 * left, Rb above, Rc above left, Rd above right) can always be read. */
#include <stdlib.h>

#include "dicom/jls.h"

/* --- parameters ------------------------------------------------------------------------------- */

static int clamp_threshold(int value, int least, int maxval) {
    return value > maxval || value < least ? least : value;
}
static int larger(int a, int b) { return a > b ? a : b; }
static int smaller(int a, int b) { return a < b ? a : b; }

static int ceil_log2(int n) {
    int bits = 0;
    while (1 << bits < n) bits++;
    return bits;
}

void mg_jls_derive(mg_jls_parameters *p) {
    int t1, t2, t3, near = p->near, step = 2 * near + 1;
    if (p->maxval >= 128) {
        int factor = (smaller(p->maxval, 4095) + 128) / 256;
        t1 = factor * (3 - 2) + 2 + 3 * near;
        t2 = factor * (7 - 3) + 3 + 5 * near;
        t3 = factor * (21 - 4) + 4 + 7 * near;
    } else {
        int factor = 256 / (p->maxval + 1);
        t1 = larger(2, 3 / factor + 3 * near);
        t2 = larger(3, 7 / factor + 5 * near);
        t3 = larger(4, 21 / factor + 7 * near);
    }
    t1 = clamp_threshold(t1, near + 1, p->maxval);
    t2 = clamp_threshold(t2, t1, p->maxval);
    t3 = clamp_threshold(t3, t2, p->maxval);
    if (!p->t1) p->t1 = t1;
    if (!p->t2) p->t2 = t2;
    if (!p->t3) p->t3 = t3;
    if (!p->reset) p->reset = 64;
    p->range = (p->maxval + 2 * near) / step + 1;
    p->qbpp = ceil_log2(p->range);
    int bpp = larger(2, ceil_log2(p->maxval + 1));
    p->limit = 2 * (bpp + larger(8, bpp));
}

/* --- bits ------------------------------------------------------------------------------------- */

/* After a byte FF the next one carries 7 bits; if its highest bit is set the two are a marker. */
typedef struct bits {
    const uint8_t *p, *end;
    uint64_t hold; /* the next bits, from the highest down; zeros behind the last */
    int count;     /* bits in hold; negative when more were taken than there are */
    bool after_ff;
} bits;

static void refill(bits *b) {
    while (b->count <= 56) {
        if (b->p == b->end) return;
        uint8_t byte = *b->p;
        if (b->after_ff) {
            b->hold |= (uint64_t)byte << (57 - b->count);
            b->count += 7;
        } else {
            if (byte == 0xFF && (b->p + 1 == b->end || b->p[1] & 0x80)) return;
            b->hold |= (uint64_t)byte << (56 - b->count);
            b->count += 8;
        }
        b->after_ff = byte == 0xFF;
        b->p++;
    }
}

static inline uint32_t take(bits *b, int n) { /* 0 ≤ n ≤ 24 */
    if (n == 0) return 0;
    if (b->count < n) refill(b);
    uint32_t v = (uint32_t)(b->hold >> (64 - n));
    b->hold <<= n;
    b->count -= n;
    return v;
}

/* Golomb code with limited length (A.5.3). */
static inline int take_mapped(bits *b, int k, int limit, int qbpp) {
    int most = limit - qbpp - 1; /* up to 47 */
    if (b->count <= most) refill(b);
    int zeros = b->hold ? __builtin_clzll(b->hold) : 64;
    if (zeros >= most) {
        /* Escape: `most` zeros, a one, the value itself. More zeros are no code; taken as
         * the end. */
        b->hold = most + 1 < 64 ? b->hold << (most + 1) : 0;
        b->count -= most + 1;
        if (zeros > most) b->count = -1;
        return (int)take(b, qbpp) + 1;
    }
    b->hold <<= zeros + 1;
    b->count -= zeros + 1;
    return zeros << k | (int)take(b, k);
}

/* --- contexts --------------------------------------------------------------------------------- */

typedef struct context {
    int a, b, c, n;
} context;

typedef struct run_context {
    int a, n, nn;
} run_context;

typedef struct decoder {
    bits in;
    mg_jls_parameters p;
    int step, span; /* 2 near + 1, and range times that */
    context contexts[365];
    run_context runs[2];
    int run_index[3];
    const int8_t *quantised; /* of a difference, indexed from its middle */
    bool invalid;
} decoder;

static const uint8_t run_order[32] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,  2,  3,  3,  3,  3,
                                      4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void reset_contexts(decoder *d) {
    int a = larger(2, (d->p.range + 32) / 64);
    for (int i = 0; i < 365; i++) d->contexts[i] = (context){a, 0, 0, 1};
    for (int i = 0; i < 2; i++) d->runs[i] = (run_context){a, 1, 0};
}

static int quantise(const mg_jls_parameters *p, int d) {
    if (d <= -p->t3) return -4;
    if (d <= -p->t2) return -3;
    if (d <= -p->t1) return -2;
    if (d < -p->near) return -1;
    if (d <= p->near) return 0;
    if (d < p->t1) return 1;
    if (d < p->t2) return 2;
    return d < p->t3 ? 3 : 4;
}

/* k of A.5.1; A stays below 2^23 as errors are bounded and N halves, so 24 steps always do. */
static inline int golomb_order(int n, int a) {
    int k = 0;
    while (n << k < a && k < 24) k++;
    return k;
}

/* Prediction plus error, brought back into the value range (A.4.4, A.4.5). */
static inline int reconstruct(const decoder *d, int prediction, int error) {
    int v = prediction + error * d->step;
    if (v < -d->p.near) v += d->span;
    else if (v > d->p.maxval + d->p.near) v -= d->span;
    return v < 0 ? 0 : v > d->p.maxval ? d->p.maxval : v;
}

/* --- regular mode (A.4 to A.6) ---------------------------------------------------------------- */

static inline int median_edge(int ra, int rb, int rc) {
    int least = ra < rb ? ra : rb, most = ra < rb ? rb : ra;
    return rc >= most ? least : rc <= least ? most : ra + rb - rc;
}

static inline void adapt(context *c, int error, int step, int reset) {
    c->b += error * step;
    c->a += error < 0 ? -error : error;
    if (c->n == reset) {
        c->a >>= 1;
        c->b = c->b >= 0 ? c->b >> 1 : -((1 - c->b) >> 1);
        c->n >>= 1;
    }
    c->n++;
    if (c->b <= -c->n) {
        c->b += c->n;
        if (c->c > -128) c->c--;
        if (c->b <= -c->n) c->b = -c->n + 1;
    } else if (c->b > 0) {
        c->b -= c->n;
        if (c->c < 127) c->c++;
        if (c->b > 0) c->b = 0;
    }
}

static inline int regular(decoder *d, int q, int ra, int rb, int rc) {
    int sign = q < 0 ? -1 : 1;
    context *c = &d->contexts[q < 0 ? -q : q];
    int px = median_edge(ra, rb, rc) + sign * c->c;
    px = px < 0 ? 0 : px > d->p.maxval ? d->p.maxval : px;
    int k = golomb_order(c->n, c->a);
    int mapped = take_mapped(&d->in, k, d->p.limit, d->p.qbpp);
    int error = mapped & 1 ? -((mapped >> 1) + 1) : mapped >> 1;
    if (k == 0 && d->p.near == 0 && 2 * c->b <= -c->n) error = -error - 1;
    if (error > d->p.range || error < -d->p.range) {
        d->invalid = true;
        return px;
    }
    adapt(c, error, d->step, d->p.reset);
    return reconstruct(d, px, sign * error);
}

/* --- run mode (A.7) --------------------------------------------------------------------------- */

static int run_error(decoder *d, int type, int run_index) {
    run_context *c = &d->runs[type];
    int k = golomb_order(c->n, c->a + (type ? c->n >> 1 : 0));
    int mapped = take_mapped(&d->in, k, d->p.limit - run_order[run_index] - 1, d->p.qbpp);
    int both = mapped + type, odd = both & 1, size = (both + odd) / 2;
    bool negative = (k != 0 || 2 * c->nn >= c->n) == odd;
    if (size > d->p.range) {
        d->invalid = true;
        return 0;
    }
    int error = negative ? -size : size;
    if (error < 0) c->nn++;
    c->a += (mapped + 1 - type) >> 1;
    if (c->n == d->p.reset) {
        c->a >>= 1;
        c->n >>= 1;
        c->nn >>= 1;
    }
    c->n++;
    return error;
}

/* Length of a run with at most `left` samples; *interrupted says whether it ends before the row. */
static uint32_t run_length(decoder *d, int *run_index, uint32_t left, bool *interrupted) {
    uint32_t length = 0;
    *interrupted = false;
    while (length < left) {
        uint32_t block = UINT32_C(1) << run_order[*run_index];
        if (!take(&d->in, 1)) {
            length += take(&d->in, run_order[*run_index]);
            *interrupted = true;
            break;
        }
        if (d->in.count < 0) break; /* the data ended */
        if (block > left - length) {
            length = left;
        } else {
            length += block;
            if (*run_index < 31) ++*run_index;
        }
    }
    if (*interrupted && length >= left) d->invalid = true;
    return length < left ? length : left;
}

static int interrupt(decoder *d, int ra, int rb, int run_index) {
    int difference = ra > rb ? ra - rb : rb - ra;
    if (difference <= d->p.near) return reconstruct(d, ra, run_error(d, 1, run_index));
    int error = run_error(d, 0, run_index);
    return reconstruct(d, rb, ra > rb ? -error : error);
}

/* --- rows ------------------------------------------------------------------------------------- */

static inline int context_of(const decoder *d, int ra, int rb, int rc, int rd) {
    return (d->quantised[rd - rb] * 9 + d->quantised[rb - rc]) * 9 + d->quantised[rc - ra];
}

/* x counts from 1: [0] and [columns + 1] are the borders. */
static void decode_row(decoder *d, uint16_t *now, const uint16_t *above, uint32_t columns,
                       int component) {
    int *run_index = &d->run_index[component];
    int ra = now[0], rb = above[0], rd = above[1];
    for (uint32_t x = 1; x <= columns; x++) {
        int rc = rb;
        rb = rd;
        rd = above[x + 1];
        int q = context_of(d, ra, rb, rc, rd);
        if (q != 0) {
            ra = regular(d, q, ra, rb, rc);
            now[x] = (uint16_t)ra;
        } else {
            bool interrupted;
            uint32_t n = run_length(d, run_index, columns + 1 - x, &interrupted);
            for (uint32_t i = 0; i < n; i++) now[x + i] = (uint16_t)ra;
            x += n;
            if (!interrupted || x > columns) return;
            rb = above[x];
            rd = above[x + 1];
            ra = interrupt(d, ra, rb, *run_index);
            if (*run_index > 0) --*run_index;
            now[x] = (uint16_t)ra;
        }
        if (d->in.count < 0 || d->invalid) return;
    }
}

/* Three components sample by sample: a run goes on while all three are flat. rows[c] as above. */
static void decode_row_of_samples(decoder *d, uint16_t *const now[3],
                                  const uint16_t *const above[3], uint32_t columns) {
    for (uint32_t x = 1; x <= columns; x++) {
        int q[3];
        for (int c = 0; c < 3; c++)
            q[c] = context_of(d, now[c][x - 1], above[c][x], above[c][x - 1], above[c][x + 1]);
        if (q[0] || q[1] || q[2]) {
            for (int c = 0; c < 3; c++)
                now[c][x] = (uint16_t)regular(d, q[c], now[c][x - 1], above[c][x], above[c][x - 1]);
        } else {
            bool interrupted;
            uint32_t n = run_length(d, &d->run_index[0], columns + 1 - x, &interrupted);
            for (int c = 0; c < 3; c++)
                for (uint32_t i = 0; i < n; i++) now[c][x + i] = now[c][x - 1];
            x += n;
            if (!interrupted || x > columns) return;
            for (int c = 0; c < 3; c++) {
                int ra = now[c][x - 1], rb = above[c][x];
                int error = run_error(d, 0, d->run_index[0]);
                now[c][x] = (uint16_t)reconstruct(d, rb, rb < ra ? -error : error);
            }
            if (d->run_index[0] > 0) d->run_index[0]--;
        }
        if (d->in.count < 0 || d->invalid) return;
    }
}

/* --- scans ------------------------------------------------------------------------------------ */

/* Two rows per component with their borders, and the table of quantised differences. */
static void *make_buffers(decoder *d, const mg_jls_scan *s, uint16_t *rows[3][2]) {
    size_t width = (size_t)s->columns + 2, table = 2 * (size_t)d->p.maxval + 1;
    size_t samples = width * 2 * (size_t)s->components;
    uint8_t *memory = calloc(samples * sizeof(uint16_t) + table, 1);
    if (!memory) return NULL;
    for (int c = 0; c < s->components; c++)
        for (int i = 0; i < 2; i++)
            rows[c][i] = (uint16_t *)(void *)memory + width * (size_t)(2 * c + i);
    int8_t *quantised = (int8_t *)(memory + samples * sizeof(uint16_t));
    for (int v = -d->p.maxval; v <= d->p.maxval; v++)
        quantised[v + d->p.maxval] = (int8_t)quantise(&d->p, v);
    d->quantised = quantised + d->p.maxval;
    return memory;
}

/* What is left before the next marker may be padding of less than a byte. */
static mg_jls_result finish(decoder *d, size_t *used, const uint8_t *data) {
    bits *b = &d->in;
    refill(b);
    *used = (size_t)(b->p - data);
    bool at_marker = b->p == b->end || (b->p[0] == 0xFF && (b->p + 1 == b->end || b->p[1] & 0x80));
    return at_marker && b->count < 8 ? MG_JLS_OK : MG_JLS_LATE;
}

mg_jls_result mg_jls_decode_scan(const mg_jls_scan *s, size_t *used, uint32_t *row) {
    decoder d = {.in = {.p = s->data, .end = s->data + s->size}, .p = s->parameters};
    uint16_t *rows[3][2] = {{NULL}};
    d.step = 2 * d.p.near + 1;
    d.span = d.p.range * d.step;
    *row = 0;
    *used = 0;
    reset_contexts(&d);
    void *memory = make_buffers(&d, s, rows);
    if (!memory) return MG_JLS_MEMORY;
    for (uint32_t y = 0; y < s->rows && !d.invalid && d.in.count >= 0; y++) {
        uint16_t *now[3] = {NULL};
        const uint16_t *above[3] = {NULL};
        for (int c = 0; c < s->components; c++) {
            uint16_t *up = rows[c][~y & 1];
            up[s->columns + 1] = up[s->columns];
            now[c] = rows[c][y & 1];
            now[c][0] = up[1];
            above[c] = up;
        }
        if (s->interleave == 2) decode_row_of_samples(&d, now, above, s->columns);
        else
            for (int c = 0; c < s->components; c++) decode_row(&d, now[c], above[c], s->columns, c);
        if (d.invalid || d.in.count < 0) break;
        for (int c = 0; c < s->components; c++) {
            uint16_t *out = s->out + (size_t)y * s->columns * s->step + c;
            for (uint32_t x = 0; x < s->columns; x++) out[x * s->step] = now[c][x + 1];
        }
        *row = y + 1;
    }
    free(memory);
    if (d.in.count < 0) return MG_JLS_EARLY;
    if (d.invalid) return MG_JLS_INVALID;
    return finish(&d, used, s->data);
}
