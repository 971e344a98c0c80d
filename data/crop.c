#include "data/crop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/lanes.h"

/* --- zero crop -------------------------------------------------------------------------------- */

static mg_status keep_marked(const uint8_t *mark, uint32_t n, mg_kept *out, mg_error *err) {
    uint32_t count = 0, first = 0, last = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!mark[i]) continue;
        if (count++ == 0) first = i;
        last = i;
    }
    if (count == 0) { /* nothing would be left: keep all */
        *out = (mg_kept){.first = 0, .count = n};
        return MG_OK;
    }
    *out = (mg_kept){.first = first, .count = count};
    if (last - first + 1 == count) return MG_OK;
    out->list = malloc((size_t)count * sizeof *out->list);
    if (!out->list) return mg_fail(err, MG_ERR_MEMORY, "crop: out of memory");
    for (uint32_t i = 0, k = 0; i < n; i++)
        if (mark[i]) out->list[k++] = i;
    return MG_OK;
}

mg_status mg_crop_marked(const uint8_t *row_mark, uint32_t rows, const uint8_t *column_mark,
                         uint32_t columns, mg_kept *row, mg_kept *column, mg_error *err) {
    *row = *column = (mg_kept){0};
    mg_status status = keep_marked(row_mark, rows, row, err);
    if (!status) status = keep_marked(column_mark, columns, column, err);
    if (!status) return MG_OK;
    free(row->list);
    *row = (mg_kept){0};
    return status;
}

mg_status mg_crop_zero(const float *pixels, uint32_t rows, uint32_t columns, mg_kept *row,
                       mg_kept *column, mg_error *err) {
    *row = *column = (mg_kept){0};
    uint8_t *mark = calloc((size_t)rows + columns, 1);
    if (!mark) return mg_fail(err, MG_ERR_MEMORY, "crop: out of memory");
    uint8_t *of_column = mark + rows;
    for (uint32_t y = 0; y < rows; y++) {
        const float *p = pixels + (size_t)y * columns;
        uint8_t any = 0;
        for (uint32_t x = 0; x < columns; x++) {
            uint8_t lit = p[x] > 0;
            any |= lit;
            of_column[x] |= lit;
        }
        mark[y] = any;
    }
    mg_status status = mg_crop_marked(mark, rows, of_column, columns, row, column, err);
    free(mark);
    return status;
}

/* --- breast crop ------------------------------------------------------------------------------ */

enum { LONG_SIDE = 400, BINS = 256 };

/* The reduced image and its masks; w*h <= LONG_SIDE². */
typedef struct mg_crop_small {
    int w, h;
    uint32_t block;
    uint8_t *grey;                /* level 0 … 255 */
    uint8_t *mask, *open, *spare; /* 0 or 1 */
    int32_t *queue;
} small;

static bool small_create(small *s, uint32_t rows, uint32_t columns) {
    uint32_t longer = rows > columns ? rows : columns;
    s->block = (longer + LONG_SIDE - 1) / LONG_SIDE;
    s->w = (int)((columns + s->block - 1) / s->block);
    s->h = (int)((rows + s->block - 1) / s->block);
    size_t n = (size_t)s->w * (size_t)s->h;
    s->grey = malloc(4 * n);
    s->queue = malloc(n * sizeof *s->queue);
    s->mask = s->grey + n;
    s->open = s->grey + 2 * n;
    s->spare = s->grey + 3 * n;
    return s->grey && s->queue;
}

/* Block means. Rows are added up first, in order, so the sums do not depend on vector width. */
static bool reduce(small *s, const float *pixels, uint32_t rows, uint32_t columns) {
    float *sum = malloc((size_t)columns * sizeof *sum);
    if (!sum) return false;
    for (int by = 0; by < s->h; by++) {
        uint32_t y0 = (uint32_t)by * s->block;
        uint32_t y1 = y0 + s->block < rows ? y0 + s->block : rows;
        memset(sum, 0, (size_t)columns * sizeof *sum);
        for (uint32_t y = y0; y < y1; y++) {
            const float *p = pixels + (size_t)y * columns;
            uint32_t x = 0;
            for (; x + LANES <= columns; x += LANES)
                lanes_store(sum + x, lanes_load(sum + x) + lanes_load(p + x));
            for (; x < columns; x++) sum[x] += p[x];
        }
        for (int bx = 0; bx < s->w; bx++) {
            uint32_t x0 = (uint32_t)bx * s->block;
            uint32_t x1 = x0 + s->block < columns ? x0 + s->block : columns;
            float total = 0;
            for (uint32_t x = x0; x < x1; x++) total += sum[x];
            float mean = total / (float)((y1 - y0) * (x1 - x0));
            int level = (int)(mean * (float)BINS);
            s->grey[by * s->w + bx] = (uint8_t)(level < 0 ? 0 : level > 255 ? 255 : level);
        }
    }
    free(sum);
    return true;
}

/* Largest variance between the classes "level <= t" and "level > t"; integers to the last step. */
static int otsu(const int64_t histogram[BINS], int64_t total) {
    int64_t sum = 0, below = 0, sum_below = 0;
    for (int i = 0; i < BINS; i++) sum += i * histogram[i];
    double best = -1;
    int first = 0, last = 0;
    for (int t = 0; t < BINS - 1; t++) {
        below += histogram[t];
        sum_below += t * histogram[t];
        int64_t above = total - below;
        if (below == 0 || above == 0) continue;
        double difference =
            (double)sum_below / (double)below - (double)(sum - sum_below) / (double)above;
        double between = (double)below * (double)above * difference * difference;
        if (between > best) {
            best = between;
            first = last = t;
        } else if (between == best) {
            last = t; /* an empty gap: its middle */
        }
    }
    return (first + last) / 2;
}

/* Step 2 of the header. Sums of three neighbouring levels even out the gaps that stretching few
 * grey levels to many leaves. */
static int threshold(const small *s) {
    int64_t histogram[BINS] = {0}, even[BINS];
    int n = s->w * s->h;
    for (int i = 0; i < n; i++) histogram[s->grey[i]]++;
    for (int i = 0; i < BINS; i++)
        even[i] = histogram[i] + (i > 0 ? histogram[i - 1] : histogram[i + 1]) +
                  (i < BINS - 1 ? histogram[i + 1] : 0);
    int t = otsu(histogram, n), background = 0;
    for (int i = 0; i <= t; i++)
        if (even[i] > even[background]) background = i;
    int64_t valley = even[background];
    int foot = background + 1;
    for (int i = background + 1; i < t; i++) {
        if (even[i] < valley) {
            valley = even[i];
            foot = i;
        }
        if (even[i] < even[background] / 50 || even[i] > 2 * valley) break;
    }
    return foot;
}

/* A running sum along one line of n cells: out is 1 where a window of 2r+1 holds `need` or more. */
static void line_filter(const uint8_t *in, uint8_t *out, int n, int step, int r, int need) {
    int sum = 0;
    for (int i = 0; i < r && i < n; i++) sum += in[i * step];
    for (int i = 0; i < n; i++) {
        if (i + r < n) sum += in[(i + r) * step];
        if (i - r - 1 >= 0) sum -= in[(i - r - 1) * step];
        out[i * step] = sum >= need;
    }
}

/* Erosion needs the whole window (outside counts as dark, so frames at the border go, too);
 * dilation any of it. */
static void square_filter(const small *s, const uint8_t *in, uint8_t *out, int r, int need) {
    for (int y = 0; y < s->h; y++)
        line_filter(in + y * s->w, s->spare + y * s->w, s->w, 1, r, need);
    for (int x = 0; x < s->w; x++) line_filter(s->spare + x, out + x, s->h, s->w, r, need);
}

/* Marks the largest component of `open` with 2 and returns its size. */
static int largest_component(const small *s) {
    int n = s->w * s->h, best = 0, best_seed = -1;
    for (int pass = 0; pass < 2; pass++) {
        for (int seed = 0; seed < n; seed++) {
            if (pass == 1 && seed != best_seed) continue;
            if (s->open[seed] != (pass == 0 ? 1 : 3)) continue;
            uint8_t mark = pass == 0 ? 3 : 2, from = s->open[seed];
            int head = 0, tail = 0;
            s->queue[tail++] = seed;
            s->open[seed] = mark;
            while (head < tail) {
                int at = s->queue[head++], x = at % s->w, y = at / s->w;
                const int next[4] = {x > 0 ? at - 1 : -1, x + 1 < s->w ? at + 1 : -1,
                                     y > 0 ? at - s->w : -1, y + 1 < s->h ? at + s->w : -1};
                for (int k = 0; k < 4; k++) {
                    if (next[k] < 0 || s->open[next[k]] != from) continue;
                    s->open[next[k]] = mark;
                    s->queue[tail++] = next[k];
                }
            }
            if (pass == 0 && tail > best) best = tail, best_seed = seed;
        }
    }
    for (int i = 0; i < n; i++) s->open[i] = s->open[i] == 2;
    return best;
}

/* The box of the grown component in reduced pixels; false: keep the whole image. */
static bool breast_box(const small *s, int *y0, int *y1, int *x0, int *x1) {
    int n = s->w * s->h, t = threshold(s), dark = 0;
    for (int i = 0; i < n; i++) {
        s->mask[i] = s->grey[i] > t;
        dark += !s->mask[i];
    }
    if (dark < n / 50) return false;
    int r = (s->w > s->h ? s->w : s->h) / 50;
    square_filter(s, s->mask, s->open, r, 2 * r + 1);
    if (largest_component(s) < n / 50) return false;
    square_filter(s, s->open, s->open, r, 1);
    *y0 = s->h, *y1 = -1, *x0 = s->w, *x1 = -1;
    for (int y = 0; y < s->h; y++)
        for (int x = 0; x < s->w; x++) {
            if (!s->open[y * s->w + x] || !s->mask[y * s->w + x]) continue;
            if (y < *y0) *y0 = y;
            if (y > *y1) *y1 = y;
            if (x < *x0) *x0 = x;
            if (x > *x1) *x1 = x;
        }
    return *y1 >= 0;
}

static mg_kept with_margin(int from, int to, uint32_t block, uint32_t margin, uint32_t n) {
    uint32_t low = (uint32_t)from * block, high = ((uint32_t)to + 1) * block;
    low = low > margin ? low - margin : 0;
    high = high > n || margin > n - high ? n : high + margin;
    return (mg_kept){.first = low, .count = high - low};
}

mg_crop_small *mg_crop_small_create(uint32_t rows, uint32_t columns) {
    small *s = calloc(1, sizeof *s);
    if (s && small_create(s, rows, columns)) return s;
    mg_crop_small_destroy(s);
    return NULL;
}

void mg_crop_small_destroy(mg_crop_small *s) {
    if (!s) return;
    free(s->grey);
    free(s->queue);
    free(s);
}

uint8_t *mg_crop_small_grey(mg_crop_small *s, uint32_t *block, size_t *bytes) {
    *block = s->block;
    *bytes = (size_t)s->w * (size_t)s->h;
    return s->grey;
}

void mg_crop_small_bounds(mg_crop_small *s, float margin, mg_kept *row, mg_kept *column) {
    int y0, y1, x0, x1;
    if (!breast_box(s, &y0, &y1, &x0, &x1)) return;
    int longer = y1 - y0 > x1 - x0 ? y1 - y0 + 1 : x1 - x0 + 1;
    uint32_t extra = (uint32_t)(margin * (float)longer * (float)s->block + 0.5f);
    *row = with_margin(y0, y1, s->block, extra, row->count);
    *column = with_margin(x0, x1, s->block, extra, column->count);
}

mg_status mg_crop_breast(const float *pixels, uint32_t rows, uint32_t columns, float margin,
                         mg_kept *row, mg_kept *column, mg_error *err) {
    *row = (mg_kept){.first = 0, .count = rows};
    *column = (mg_kept){.first = 0, .count = columns};
    mg_crop_small *s = mg_crop_small_create(rows, columns);
    bool reduced = s && reduce(s, pixels, rows, columns);
    if (reduced) mg_crop_small_bounds(s, margin, row, column);
    mg_crop_small_destroy(s);
    return reduced ? MG_OK : mg_fail(err, MG_ERR_MEMORY, "crop: out of memory");
}
