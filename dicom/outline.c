/* outline.c: outlines of the areas of a mask, along the edges of pixels.
 *
 * Areas are labelled by a flood fill on a stack of our own; the outer border is walked with the
 * area always to the right, and a point is kept where the direction changes. */
#include <stdlib.h>

#include "dicom/derived_internal.h"

typedef struct area {
    uint32_t label, first; /* first: its first pixel in reading order */
    size_t pixels;
} area;

typedef struct field {
    const uint8_t *mask;
    uint32_t *label, *stack;
    uint32_t rows, columns;
} field;

/* Labels the four-connected area around `start`; returns its size. */
static size_t flood(field *f, uint32_t start, uint32_t label) {
    size_t pixels = 0, top = 0;
    f->stack[top++] = start;
    f->label[start] = label;
    while (top) {
        uint32_t p = f->stack[--top], x = p % f->columns, y = p / f->columns;
        uint32_t next[4];
        int n = 0;
        pixels++;
        if (x > 0) next[n++] = p - 1;
        if (x + 1 < f->columns) next[n++] = p + 1;
        if (y > 0) next[n++] = p - f->columns;
        if (y + 1 < f->rows) next[n++] = p + f->columns;
        for (int i = 0; i < n; i++)
            if (f->mask[next[i]] && !f->label[next[i]]) {
                f->label[next[i]] = label; /* labelled when pushed: each pixel is pushed once */
                f->stack[top++] = next[i];
            }
    }
    return pixels;
}

static bool inside(const field *f, int64_t x, int64_t y, uint32_t label) {
    return x >= 0 && y >= 0 && x < f->columns && y < f->rows &&
           f->label[(size_t)y * f->columns + (size_t)x] == label;
}

static bool add_point(mg_dicom_outline *o, size_t *capacity, int64_t x, int64_t y) {
    if (o->count == *capacity) {
        *capacity = *capacity ? 2 * *capacity : 32;
        float *grown = realloc(o->points, *capacity * 2 * sizeof *grown);
        if (!grown) return false;
        o->points = grown;
    }
    o->points[2 * o->count] = (float)x;
    o->points[2 * o->count + 1] = (float)y;
    o->count++;
    return true;
}

/* Corners of pixels are the vertices. At each one: turn left if the pixel ahead on the left is
 * inside, go on if the one ahead on the right is, else turn right. Diagonal neighbours do not
 * connect, so the right turn comes first. */
static bool trace(const field *f, const area *a, mg_dicom_outline *o) {
    static const int dx[4] = {1, 0, -1, 0}, dy[4] = {0, 1, 0, -1};
    /* Pixel ahead on the right and on the left, relative to the corner, by direction. */
    static const int rx[4] = {0, -1, -1, 0}, ry[4] = {0, 0, -1, -1};
    static const int lx[4] = {0, 0, -1, -1}, ly[4] = {-1, 0, 0, -1};
    int64_t x = a->first % f->columns, y = a->first / f->columns, x0 = x, y0 = y;
    size_t capacity = 0;
    int direction = 0;
    if (!add_point(o, &capacity, x, y)) return false;
    for (;;) {
        x += dx[direction];
        y += dy[direction];
        bool right = inside(f, x + rx[direction], y + ry[direction], a->label);
        bool left = inside(f, x + lx[direction], y + ly[direction], a->label);
        int turned = !right ? (direction + 1) % 4 : left ? (direction + 3) % 4 : direction;
        if (x == x0 && y == y0 && turned == 0) return true;
        if (turned != direction && !add_point(o, &capacity, x, y)) return false;
        direction = turned;
    }
}

static int by_size(const void *a, const void *b) {
    const area *p = a, *q = b;
    if (p->pixels != q->pixels) return p->pixels < q->pixels ? 1 : -1;
    return p->first < q->first ? -1 : p->first > q->first;
}

static size_t find_areas(field *f, size_t least, area **areas) {
    size_t count = 0, capacity = 0, n = (size_t)f->rows * f->columns;
    uint32_t label = 0;
    *areas = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!f->mask[i] || f->label[i]) continue;
        label++;
        area a = {label, (uint32_t)i, flood(f, (uint32_t)i, label)};
        if (a.pixels < least) continue;
        if (count == capacity) {
            capacity = capacity ? 2 * capacity : 16;
            area *grown = realloc(*areas, capacity * sizeof *grown);
            if (!grown) {
                free(*areas);
                *areas = NULL;
                return SIZE_MAX;
            }
            *areas = grown;
        }
        (*areas)[count++] = a;
    }
    if (count) qsort(*areas, count, sizeof **areas, by_size);
    return count;
}

void mg_dicom_free_outlines(mg_dicom_outline *outlines, int count) {
    for (int i = 0; outlines && i < count; i++) free(outlines[i].points);
    free(outlines);
}

int mg_dicom_trace_outlines(const uint8_t *mask, uint32_t rows, uint32_t columns, size_t least,
                            int most, mg_dicom_outline **out) {
    uint64_t n = (uint64_t)rows * columns;
    *out = NULL;
    if (n == 0 || most <= 0) return 0;
    if (n >= UINT32_MAX) return -1;
    field f = {mask, calloc(n, sizeof *f.label), malloc(n * sizeof *f.stack), rows, columns};
    area *areas = NULL;
    size_t count = f.label && f.stack ? find_areas(&f, least, &areas) : SIZE_MAX;
    if (count != SIZE_MAX && count > (size_t)most) count = (size_t)most;
    if (count != SIZE_MAX && count) {
        *out = calloc(count, sizeof **out);
        for (size_t i = 0; i < count; i++)
            if (!*out || !trace(&f, &areas[i], &(*out)[i])) {
                mg_dicom_free_outlines(*out, (int)count);
                *out = NULL;
                count = SIZE_MAX;
                break;
            }
    }
    free(areas);
    free(f.label);
    free(f.stack);
    return count == SIZE_MAX ? -1 : (int)count;
}
