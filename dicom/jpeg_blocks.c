/* jpeg_blocks.c: the order in which a DCT scan codes its blocks (T.81 A.2), restarts included; the
 * same for sequential and progressive scans, which differ in what a block is. */
#include "dicom/jpeg_internal.h"

#include <stdlib.h>

/* Memory for all components, once. The frame has been compared with the caller's by now. */
static mg_dicom_status reserve_planes(mg_jpeg *j) {
    bool progressive = j->header.process == MG_DICOM_JPEG_PROGRESSIVE;
    for (int i = 0; i < j->header.components; i++) {
        mg_jpeg_component *c = &j->component[i];
        if (c->plane) continue;
        size_t blocks = (size_t)c->stride_blocks * c->plane_blocks_y;
        c->plane = calloc(blocks, 64 * sizeof *c->plane);
        if (progressive) c->coefficients = calloc(blocks, 64 * sizeof *c->coefficients);
        if (!c->plane || (progressive && !c->coefficients))
            return mg_dicom_fail(j->err, MG_DICOM_ERR_MEMORY, j->scan.offset,
                                 "JPEG: no memory for "
                                 "%zu blocks of a component",
                                 blocks);
    }
    return MG_DICOM_OK;
}

/* Quantization tables are those that are defined at a component's first scan. */
static mg_dicom_status bind_quantization(mg_jpeg *j) {
    for (int i = 0; i < j->scan.n; i++) {
        mg_jpeg_component *c = &j->component[j->scan.component[i]];
        if (c->coded) continue;
        if (!j->quant_defined[c->quant])
            return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, j->scan.offset,
                                 "JPEG: component %d "
                                 "uses quantization table %d, which no DQT has defined",
                                 c->id, c->quant);
        for (int k = 0; k < 64; k++) c->dequantize[k] = j->quant[c->quant][k];
    }
    return MG_DICOM_OK;
}

mg_dicom_status mg_jpeg_need_table(mg_jpeg *j, int class, int id) {
    if (j->table[class][id].defined) return MG_DICOM_OK;
    return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, j->scan.offset,
                         "JPEG: the scan at offset %llu "
                         "uses Huffman table %d of class %d, which no DHT has defined",
                         (unsigned long long)j->scan.offset, id, class);
}

typedef struct walk {
    mg_jpeg *j;
    mg_jpeg_block_visitor *visit;
    mg_jpeg_restart_visitor *restart;
    void *arg;
    uint32_t mcu; /* number within the scan */
} walk;

static mg_dicom_status next_mcu(walk *w) {
    mg_jpeg *j = w->j;
    if (j->restart_interval && w->mcu && w->mcu % j->restart_interval == 0) {
        mg_dicom_status status = mg_jpeg_interval_close(j, true);
        if (status) return status;
        w->restart(w->arg);
    }
    w->mcu++;
    return MG_DICOM_OK;
}

static mg_dicom_status one_block(walk *w, int i, uint32_t bx, uint32_t by) {
    mg_jpeg *j = w->j;
    mg_jpeg_component *c = &j->component[j->scan.component[i]];
    size_t block = (size_t)by * c->stride_blocks + bx;
    if (w->visit(w->arg, i, c, block) && !mg_jpeg_bits_overrun(&j->bits)) return MG_DICOM_OK;
    return mg_jpeg_entropy_error(j, "block row", by);
}

/* A scan of one component: its own blocks, row by row. */
static mg_dicom_status walk_component(walk *w) {
    const mg_jpeg_component *c = &w->j->component[w->j->scan.component[0]];
    for (uint32_t by = 0; by < c->blocks_y; by++) {
        for (uint32_t bx = 0; bx < c->blocks_x; bx++) {
            mg_dicom_status status = next_mcu(w);
            if (!status) status = one_block(w, 0, bx, by);
            if (status) return status;
        }
    }
    return MG_DICOM_OK;
}

/* One MCU of several components: h * v blocks of each. */
static mg_dicom_status walk_mcu(walk *w, uint32_t mx, uint32_t my) {
    mg_dicom_status status = next_mcu(w);
    for (int i = 0; i < w->j->scan.n; i++) {
        const mg_jpeg_component *c = &w->j->component[w->j->scan.component[i]];
        for (uint32_t v = 0; v < c->v; v++)
            for (uint32_t h = 0; h < c->h && !status; h++)
                status = one_block(w, i, mx * c->h + h, my * c->v + v);
    }
    return status;
}

static mg_dicom_status walk_interleaved(walk *w) {
    mg_jpeg *j = w->j;
    const mg_jpeg_component *c = &j->component[j->scan.component[0]];
    uint32_t mcus_x = c->stride_blocks / c->h, mcus_y = c->plane_blocks_y / c->v;
    for (uint32_t my = 0; my < mcus_y; my++) {
        for (uint32_t mx = 0; mx < mcus_x; mx++) {
            mg_dicom_status status = walk_mcu(w, mx, my);
            if (status) return status;
        }
    }
    return MG_DICOM_OK;
}

mg_dicom_status mg_jpeg_walk_blocks(mg_jpeg *j, mg_jpeg_block_visitor *visit,
                                    mg_jpeg_restart_visitor *restart, void *arg) {
    int blocks = 0;
    for (int i = 0; i < j->scan.n; i++) {
        const mg_jpeg_component *c = &j->component[j->scan.component[i]];
        blocks += c->h * c->v;
    }
    if (j->scan.n > 1 && blocks > 10)
        return mg_dicom_fail(j->err, MG_DICOM_ERR_PIXELS, j->scan.offset,
                             "JPEG: %d blocks in an MCU "
                             "of the scan at offset %llu; 10 are the most",
                             blocks, (unsigned long long)j->scan.offset);
    mg_dicom_status status = reserve_planes(j);
    if (!status) status = bind_quantization(j);
    if (!status) status = mg_jpeg_interval_open(j);
    if (status) return status;
    j->in_entropy = true;
    walk w = {.j = j, .visit = visit, .restart = restart, .arg = arg};
    restart(arg);
    status = j->scan.n == 1 ? walk_component(&w) : walk_interleaved(&w);
    return status ? status : mg_jpeg_interval_close(j, false);
}
