/* jpeg_sequential.c: scans of baseline and extended sequential DCT (T.81 annex F). A block goes
 * from its bits through the inverse DCT into its component's plane at once. */
#include "dicom/jpeg_internal.h"

typedef struct sequential {
    mg_jpeg *j;
    const mg_jpeg_huffman *dc[4], *ac[4];
    int32_t prediction[4]; /* DC of the previous block */
    uint32_t max;          /* sample */
} sequential;

static void restart(void *arg) {
    sequential *s = arg;
    for (int i = 0; i < 4; i++) s->prediction[i] = 0;
}

/* F.2.2: the coefficients of one block in natural order. False: no such code or value. */
static bool decode_block(mg_jpeg_bits *b, const mg_jpeg_huffman *dc, const mg_jpeg_huffman *ac,
                         int32_t *prediction, int16_t block[64]) {
    mg_jpeg_refill(b);
    int category = mg_jpeg_symbol(b, dc);
    if (category < 0 || category > 15) return false;
    *prediction += mg_jpeg_extend(mg_jpeg_take(b, (unsigned)category), (unsigned)category);
    if (*prediction < -32768 || *prediction > 32767) return false;
    block[0] = (int16_t)*prediction;
    for (int k = 1; k < 64;) {
        mg_jpeg_refill(b);
        int symbol = mg_jpeg_symbol(b, ac);
        if (symbol < 0) return false;
        int run = symbol >> 4, size = symbol & 15;
        if (size == 0) {
            if (run == 0) return true; /* end of block */
            if (run != 15) return false;
            k += 16;
            continue;
        }
        k += run;
        if (k > 63) return false;
        uint32_t bits = mg_jpeg_take(b, (unsigned)size);
        block[mg_jpeg_natural_order[k++]] = (int16_t)mg_jpeg_extend(bits, (unsigned)size);
    }
    return true;
}

static bool visit(void *arg, int i, mg_jpeg_component *c, size_t at) {
    sequential *s = arg;
    int16_t block[64] = {0};
    if (!decode_block(&s->j->bits, s->dc[i], s->ac[i], &s->prediction[i], block)) return false;
    mg_jpeg_inverse_dct(block, c->dequantize, s->max, mg_jpeg_block_samples(c, at),
                        8 * (size_t)c->stride_blocks);
    return true;
}

mg_dicom_status mg_jpeg_sequential_scan(mg_jpeg *j) {
    const mg_jpeg_scan *scan = &j->scan;
    sequential s = {.j = j, .max = (1u << j->header.precision) - 1};
    if (scan->ss != 0 || scan->se != 63 || scan->ah || scan->al)
        mg_codec_warn(j->options, scan->offset,
                      "JPEG: spectral selection %d to %d in a sequential "
                      "scan was passed over",
                      scan->ss, scan->se);
    for (int i = 0; i < scan->n; i++) {
        mg_dicom_status status = mg_jpeg_need_table(j, 0, scan->dc_table[i]);
        if (!status) status = mg_jpeg_need_table(j, 1, scan->ac_table[i]);
        if (status) return status;
        s.dc[i] = &j->table[0][scan->dc_table[i]];
        s.ac[i] = &j->table[1][scan->ac_table[i]];
        if (j->component[scan->component[i]].coded)
            return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, scan->offset,
                                 "JPEG: a second scan of "
                                 "component %d at offset %llu",
                                 j->component[scan->component[i]].id,
                                 (unsigned long long)scan->offset);
    }
    return mg_jpeg_walk_blocks(j, visit, restart, &s);
}
