/* jpeg_progressive.c: scans of progressive DCT (T.81 annex G). Coefficients come in bands (spectral
 * selection) and bit planes (successive approximation), are collected in memory, and become samples
 * when the last scan has been read. */
#include "dicom/jpeg_internal.h"

typedef struct progressive {
    mg_jpeg *j;
    const mg_jpeg_huffman *dc[4], *ac;
    int32_t prediction[4];
    uint32_t blocks_to_skip; /* EOBRUN: blocks without further coefficients in this band */
} progressive;

static void restart(void *arg) {
    progressive *p = arg;
    for (int i = 0; i < 4; i++) p->prediction[i] = 0;
    p->blocks_to_skip = 0;
}

static int16_t *block_of(mg_jpeg_component *c, size_t at) { return c->coefficients + 64 * at; }

/* value * 2^al, or false where that is no coefficient. */
static bool shifted(int32_t value, unsigned al, int16_t *out) {
    int32_t v = value * (int32_t)(1u << al);
    *out = (int16_t)v;
    return v >= -32767 && v <= 32767;
}

static bool dc_first(void *arg, int i, mg_jpeg_component *c, size_t at) {
    progressive *p = arg;
    mg_jpeg_bits *b = &p->j->bits;
    mg_jpeg_refill(b);
    int category = mg_jpeg_symbol(b, p->dc[i]);
    if (category < 0 || category > 15) return false;
    p->prediction[i] += mg_jpeg_extend(mg_jpeg_take(b, (unsigned)category), (unsigned)category);
    if (p->prediction[i] < -32768 || p->prediction[i] > 32767) return false;
    return shifted(p->prediction[i], p->j->scan.al, block_of(c, at));
}

static bool dc_refine(void *arg, int i, mg_jpeg_component *c, size_t at) {
    (void)i;
    progressive *p = arg;
    mg_jpeg_bits *b = &p->j->bits;
    mg_jpeg_refill(b);
    int16_t *block = block_of(c, at);
    if (mg_jpeg_take(b, 1)) *block = (int16_t)(*block | (int)(1u << p->j->scan.al));
    return true;
}

/* EOBn: this block and so many more end here. */
static void read_run(progressive *p, mg_jpeg_bits *b, unsigned n) {
    p->blocks_to_skip = (1u << n) + mg_jpeg_take(b, n);
}

static bool ac_first(void *arg, int i, mg_jpeg_component *c, size_t at) {
    (void)i;
    progressive *p = arg;
    mg_jpeg_bits *b = &p->j->bits;
    int16_t *block = block_of(c, at);
    if (p->blocks_to_skip) {
        p->blocks_to_skip--;
        return true;
    }
    for (int k = p->j->scan.ss; k <= p->j->scan.se;) {
        mg_jpeg_refill(b);
        int symbol = mg_jpeg_symbol(b, p->ac);
        if (symbol < 0) return false;
        unsigned run = (unsigned)symbol >> 4, size = (unsigned)symbol & 15;
        if (size == 0) {
            if (run < 15) {
                read_run(p, b, run);
                p->blocks_to_skip--;
                return true;
            }
            k += 16;
            continue;
        }
        k += (int)run;
        if (k > p->j->scan.se) return false;
        int32_t value = mg_jpeg_extend(mg_jpeg_take(b, size), size);
        if (!shifted(value, p->j->scan.al, &block[mg_jpeg_natural_order[k++]])) return false;
    }
    return true;
}

/* One more bit for every coefficient of k… that is not 0, until `zeros` that are 0 have been
 * passed. Returns where it stopped: at the next zero, or behind the band. */
static int refine_until(progressive *p, int16_t *block, int k, unsigned zeros) {
    mg_jpeg_bits *b = &p->j->bits;
    int32_t bit = (int32_t)(1u << p->j->scan.al);
    for (; k <= p->j->scan.se; k++) {
        int16_t *c = &block[mg_jpeg_natural_order[k]];
        if (*c == 0) {
            if (zeros-- == 0) break;
            continue;
        }
        mg_jpeg_refill(b);
        if (mg_jpeg_take(b, 1)) *c = (int16_t)(*c + (*c > 0 ? bit : -bit));
    }
    return k;
}

static bool ac_refine(void *arg, int i, mg_jpeg_component *c, size_t at) {
    (void)i;
    progressive *p = arg;
    mg_jpeg_bits *b = &p->j->bits;
    int16_t *block = block_of(c, at);
    int k = p->j->scan.ss, se = p->j->scan.se;
    while (p->blocks_to_skip == 0 && k <= se) {
        mg_jpeg_refill(b);
        int symbol = mg_jpeg_symbol(b, p->ac);
        if (symbol < 0) return false;
        unsigned run = (unsigned)symbol >> 4, size = (unsigned)symbol & 15;
        if (size > 1) return false;
        if (size == 0 && run < 15) {
            read_run(p, b, run);
            break;
        }
        int32_t value = 0; /* of size 0, run 15: the sixteenth zero stays one */
        if (size) value = mg_jpeg_take(b, 1) ? 1 : -1;
        k = refine_until(p, block, k, run);
        if (k > se) return value == 0;
        if (value) shifted(value, p->j->scan.al, &block[mg_jpeg_natural_order[k]]);
        k++;
    }
    if (p->blocks_to_skip) {
        refine_until(p, block, k, 64);
        p->blocks_to_skip--;
    }
    return true;
}

/* G.1.1.1: bands and bit planes must follow one another. */
static mg_dicom_status check_progression(mg_jpeg *j) {
    const mg_jpeg_scan *s = &j->scan;
    bool band = s->ss == 0 ? s->se == 0 : s->ss <= s->se && s->se < 64 && s->n == 1;
    if (!band || s->al > 13 || (s->ah && s->ah != s->al + 1))
        return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, s->offset,
                             "JPEG: coefficients %d to %d, "
                             "bits %d to %d of %d components are no progressive scan (offset %llu)",
                             s->ss, s->se, s->ah, s->al, s->n, (unsigned long long)s->offset);
    for (int i = 0; i < s->n; i++) {
        mg_jpeg_component *c = &j->component[s->component[i]];
        for (int k = s->ss; k <= s->se; k++) {
            int known = s->ah ? s->ah : -1;
            if (c->bits_known[k] != known)
                return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, s->offset,
                                     "JPEG: the scan at "
                                     "offset %llu does not continue coefficient %d of component %d",
                                     (unsigned long long)s->offset, k, c->id);
            c->bits_known[k] = (int8_t)s->al;
        }
    }
    return MG_DICOM_OK;
}

mg_dicom_status mg_jpeg_progressive_scan(mg_jpeg *j) {
    const mg_jpeg_scan *s = &j->scan;
    progressive p = {.j = j};
    mg_dicom_status status = check_progression(j);
    bool dc = s->ss == 0;
    for (int i = 0; i < s->n && !status; i++) {
        if (dc && s->ah) break; /* plain bits */
        status = mg_jpeg_need_table(j, dc ? 0 : 1, dc ? s->dc_table[i] : s->ac_table[i]);
        if (dc) p.dc[i] = &j->table[0][s->dc_table[i]];
        else p.ac = &j->table[1][s->ac_table[i]];
    }
    if (status) return status;
    mg_jpeg_block_visitor *visit =
        dc ? (s->ah ? dc_refine : dc_first) : (s->ah ? ac_refine : ac_first);
    return mg_jpeg_walk_blocks(j, visit, restart, &p);
}

void mg_jpeg_progressive_finish(mg_jpeg *j) {
    uint32_t max = (1u << j->header.precision) - 1;
    for (int i = 0; i < j->header.components; i++) {
        mg_jpeg_component *c = &j->component[i];
        int coarse = 0;
        for (int k = 0; k < 64; k++) coarse += c->bits_known[k] != 0;
        if (coarse)
            mg_codec_warn(j->options, j->pos,
                          "JPEG: %d of 64 coefficients of component %d were not "
                          "coded to the last bit",
                          coarse, c->id);
        if (!c->coefficients || c->bits_known[0] < 0) continue;
        size_t blocks = (size_t)c->stride_blocks * c->plane_blocks_y;
        for (size_t at = 0; at < blocks; at++)
            mg_jpeg_inverse_dct(block_of(c, at), c->dequantize, max, mg_jpeg_block_samples(c, at),
                                8 * (size_t)c->stride_blocks);
    }
}
