/* jpeg_upsample.c: component planes to interleaved samples. Subsampled components are interpolated
 * linearly between their samples' centres (T.81 A.1.1 places them so; the "triangle filter" of
 * common decoders is this for a factor of 2), and held constant beyond the outermost centres. */
#include "dicom/jpeg_internal.h"

#include <stdlib.h>

/* Where a full-size sample lies between two of a component's: (near * (den - w) + far * w) /
 * den. */
typedef struct position {
    uint32_t near, far, w;
} position;

static position position_of(uint32_t x, unsigned factor, unsigned max_factor, uint32_t size) {
    int64_t den = 2 * (int64_t)max_factor;
    int64_t at = (2 * (int64_t)x + 1) * factor - max_factor + den; /* + den: not negative */
    int64_t near = at / den - 1, far = near + 1;
    int64_t last = (int64_t)size - 1;
    return (position){.near = (uint32_t)(near < 0      ? 0
                                         : near > last ? last
                                                       : near),
                      .far = (uint32_t)(far > last ? last : far),
                      .w = (uint32_t)(at % den)};
}

static void put(const mg_jpeg *j, size_t at, uint32_t v) {
    if (j->frame->word_bytes == 1) ((uint8_t *)j->out)[at] = (uint8_t)v;
    else ((uint16_t *)j->out)[at] = (uint16_t)v;
}

static void copy_plane(const mg_jpeg *j, int i) {
    const mg_jpeg_component *c = &j->component[i];
    size_t step = (size_t)j->frame->samples, at = (size_t)i;
    for (uint32_t y = 0; y < j->header.rows; y++) {
        const uint16_t *row = c->plane + (size_t)y * 8 * c->stride_blocks;
        for (uint32_t x = 0; x < j->header.columns; x++, at += step) put(j, at, row[x]);
    }
}

static void interpolate_plane(const mg_jpeg *j, int i, const position *columns) {
    const mg_jpeg_component *c = &j->component[i];
    size_t step = (size_t)j->frame->samples, at = (size_t)i, stride = 8 * (size_t)c->stride_blocks;
    uint32_t dx = 2 * (uint32_t)j->max_h, dy = 2 * (uint32_t)j->max_v;
    for (uint32_t y = 0; y < j->header.rows; y++) {
        position p = position_of(y, c->v, (unsigned)j->max_v, c->height);
        const uint16_t *near = c->plane + p.near * stride, *far = c->plane + p.far * stride;
        for (uint32_t x = 0; x < j->header.columns; x++, at += step) {
            position q = columns[x];
            uint32_t left = near[q.near] * (dy - p.w) + far[q.near] * p.w;
            uint32_t right = near[q.far] * (dy - p.w) + far[q.far] * p.w;
            put(j, at, (left * (dx - q.w) + right * q.w + dx * dy / 2) / (dx * dy));
        }
    }
}

mg_dicom_status mg_jpeg_output(mg_jpeg *j) {
    uint32_t n = j->header.columns;
    position *columns = NULL;
    if (j->header.subsampled) {
        columns = malloc(n * sizeof *columns);
        if (!columns)
            return mg_dicom_fail(j->err, MG_DICOM_ERR_MEMORY, 0,
                                 "JPEG: no memory for a row of %u "
                                 "samples",
                                 (unsigned)n);
    }
    for (int i = 0; i < j->header.components; i++) {
        const mg_jpeg_component *c = &j->component[i];
        if (!c->plane) continue; /* a partial image */
        if (c->h == j->max_h && c->v == j->max_v) {
            copy_plane(j, i);
            continue;
        }
        for (uint32_t x = 0; x < n; x++)
            columns[x] = position_of(x, c->h, (unsigned)j->max_h, c->width);
        interpolate_plane(j, i, columns);
    }
    free(columns);
    return MG_DICOM_OK;
}
