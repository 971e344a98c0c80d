/* norm_depthwise_conv on the CPU: the normalised and activated tensor s never exists as a whole.
 *
 * A piece of work is one image x a band of BAND input rows x a group of 64 channels, so that what
 * it needs of s, the k rows under an output row, stays in L2 as a ring (5 x 250 x 64 floats, 320
 * KiB, for B4's widest stage).
 *
 *     forward    statistics (norm.h), then each piece normalises input rows into its ring and runs
 *                the depthwise row kernel over it
 *     backward   a piece goes down its rows once: an input row p of dy's gradient ds (gathered,
 *                depthwise_gradient.h) and of x give s for the ring, dn = ds silu'(n), which is
 *                stored, and the sums of dn and dn h; an output row of dy against the ring adds to
 *                dw. Sums and dw of the pieces are added in double, in order. A last pass turns dn
 *                into dx, in place where dx is fresh.
 *
 * Neighbouring bands repeat k - 1 rows of s. In backward bands also decide the order of sums, so
 * their height is a constant.
 * Passes over a tensor the size of x: forward 2 reads, backward 2 reads of x, 1 read and 2 writes
 * of dn; dy comes from cache where it is read again. Op by op, gradients written and not added: 6
 * and 10. */
#include "ops/cpu/depthwise_gradient.h"
#include "ops/cpu/norm.h"

enum { W = NORM_RUNNING_VAR + 1 };
enum { GROUP = 64, BAND = 32, NORM_VECTORS = 4 };

typedef struct job {
    norm n;
    int64_t images, height, width, channels, rows, columns, top, left;
    int64_t groups, bands, taps;
    int kernel, stride;
    float *rings; /* per thread: kernel rows of s; in backward one row of ds behind them */
    depthwise_gradient gradient;
    float *partial; /* per image and band: sum dn [C], sum dn h [C], dw [k,k,C] */
    float *dn;
    bool back, streams; /* streams: y, or dn */
} job;

static job job_of(const mg_op_call *c, bool back) {
    const int64_t *x = c->x_shape[NORM_X].dim, *y = c->y_shape.dim;
    job j = {.n = norm_of(c),
             .images = x[0],
             .height = x[1],
             .width = x[2],
             .channels = x[3],
             .rows = y[1],
             .columns = y[2],
             .top = mg_conv_output(&c->attr, 0, x[1]).before,
             .left = mg_conv_output(&c->attr, 1, x[2]).before,
             .groups = ceil_div(x[3], GROUP),
             .bands = ceil_div(x[1], BAND),
             .taps = (int64_t)c->attr.kernel * c->attr.kernel,
             .kernel = c->attr.kernel,
             .stride = c->attr.stride,
             .back = back};
    j.gradient = (depthwise_gradient){.width = x[2],
                                      .rows = y[1],
                                      .columns = y[2],
                                      .channels = x[3],
                                      .top = j.top,
                                      .left = j.left,
                                      .kernel = j.kernel,
                                      .stride = j.stride};
    return j;
}

static int64_t ring_floats(const job *j) {
    return (j->kernel + (j->back ? 1 : 0)) * j->width * GROUP;
}

static int64_t partial_floats(const job *j) { return (2 + j->taps) * j->channels; }

/* dn needs a tensor of its own unless it can be put where dx will be. */
static bool dn_apart(const mg_op_call *c) { return c->dx[NORM_X] && !(c->overwrite & 1); }

static size_t scratch_bytes(const mg_op_call *c, bool back, int threads) {
    job j = job_of(c, back);
    int64_t floats = threads * ring_floats(&j);
    if (back)
        floats += j.images * j.bands * partial_floats(&j) + j.taps * j.channels + 2 * j.channels +
                  (dn_apart(c) ? mg_shape_elements(&c->x_shape[NORM_X]) : 0);
    else floats += norm_floats(&j.n);
    return (size_t)floats * sizeof(float);
}

/* --- the ring --------------------------------------------------------------------------------- */

/* What a piece works on. Rows of s enter the ring in order; row p lies in slot p % kernel. */
typedef struct piece {
    const job *j;
    int64_t image, channel, channels;
    int64_t own, own_end; /* input rows */
    int64_t out, out_end; /* output rows */
    int64_t next;         /* first row that is not in the ring yet */
    float *ring, *ds;
    float *sum_dn, *sum_dn_h, *dw; /* backward: of this image and band */
} piece;

/* The last band takes the output rows that lie below the image, too. */
static piece piece_of(const job *j, int64_t number, int thread) {
    int64_t band = number / j->groups % j->bands, image = number / j->groups / j->bands;
    bool last = band + 1 == j->bands;
    piece p = {.j = j,
               .image = image,
               .channel = number % j->groups * GROUP,
               .own = band * BAND,
               .own_end = min64((band + 1) * BAND, j->height),
               .out = min64(ceil_div(band * BAND, j->stride), j->rows),
               .out_end = last ? j->rows : min64(ceil_div((band + 1) * BAND, j->stride), j->rows),
               .ring = j->rings + thread * ring_floats(j)};
    p.channels = min64(GROUP, j->channels - p.channel);
    p.ds = p.ring + j->kernel * j->width * GROUP;
    if (j->back) {
        p.sum_dn = j->partial + (image * j->bands + band) * partial_floats(j) + p.channel;
        p.sum_dn_h = p.sum_dn + j->channels;
        p.dw = p.sum_dn_h + j->channels;
    }
    int64_t first = p.out * j->stride - j->top; /* of the ring */
    p.next = first < 0 ? 0 : first;
    if (j->back && p.own < p.next) p.next = p.own;
    return p;
}

static float *ring_row(const piece *p, int64_t row) {
    return p->ring + row % p->j->kernel * p->j->width * GROUP;
}

static int64_t offset_of(const piece *p, int64_t row) {
    return ((p->image * p->j->height + row) * p->j->width) * p->j->channels + p->channel;
}

/* s of one row, vectors x n channels from ch of the group on. */
MG_INLINE void activate_row(const piece *p, int64_t row, const int vectors, const int n,
                            int64_t ch) {
    const job *j = p->j;
    const float *x = j->n.x + offset_of(p, row) + ch;
    float *s = ring_row(p, row) + ch;
    norm_lanes l[NORM_VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) l[v] = norm_load(&j->n, p->channel + ch + v * V16, n);
    for (int64_t q = 0; q < j->width; q++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            v16 a = v16_load_some(x + q * j->channels + v * V16, n);
            v16_store_some(s + q * GROUP + v * V16, v16_silu(norm_apply(&l[v], a)), n);
        }
}

/* The same, and dn and its sums from the row's ds. */
MG_INLINE void gradient_row(const piece *p, int64_t row, const int vectors, const int n,
                            int64_t ch) {
    const job *j = p->j;
    const float *x = j->n.x + offset_of(p, row) + ch, *ds = p->ds + ch;
    float *s = ring_row(p, row) + ch, *dn = j->dn ? j->dn + offset_of(p, row) + ch : NULL;
    norm_lanes l[NORM_VECTORS];
    v16 sum[NORM_VECTORS], sum_h[NORM_VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        l[v] = norm_load(&j->n, p->channel + ch + v * V16, n);
        sum[v] = sum_h[v] = v16_zero();
    }
    for (int64_t q = 0; q < j->width; q++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            v16 a = v16_load_some(x + q * j->channels + v * V16, n), z = norm_apply(&l[v], a);
            v16 gate = v16_sigmoid(z), h = norm_unit(&l[v], a);
            v16 slope = v16_silu_slope_at(z, gate);
            v16 g = v16_mul(v16_load_some(ds + q * GROUP + v * V16, n), slope);
            v16_store_some(s + q * GROUP + v * V16, v16_mul(z, gate), n);
            if (dn) v16_put(j->streams, dn + q * j->channels + v * V16, g, n);
            sum[v] = v16_add(sum[v], g);
            sum_h[v] = v16_fma(g, h, sum_h[v]);
        }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        float *to = p->sum_dn + ch + v * V16, *to_h = p->sum_dn_h + ch + v * V16;
        v16_store_some(to, v16_add(v16_load_some(to, n), sum[v]), n);
        v16_store_some(to_h, v16_add(v16_load_some(to_h, n), sum_h[v]), n);
    }
}

static void activate(const piece *p, int64_t row) {
    int64_t ch = 0;
    for (; ch + NORM_VECTORS * V16 <= p->channels; ch += NORM_VECTORS * V16)
        activate_row(p, row, NORM_VECTORS, V16, ch);
    for (; ch < p->channels; ch += V16)
        activate_row(p, row, 1, (int)min64(V16, p->channels - ch), ch);
}

static void activate_and_derive(const piece *p, int64_t row) {
    int64_t ch = 0;
    depthwise_gradient g = p->j->gradient;
    g.dy = (const float *)p->j->n.c->dy + p->image * g.rows * g.columns * g.channels;
    depthwise_gradient_row(&g, row, p->channel, p->channels, p->ds, GROUP, false);
    for (; ch + NORM_VECTORS * V16 <= p->channels; ch += NORM_VECTORS * V16)
        gradient_row(p, row, NORM_VECTORS, V16, ch);
    for (; ch < p->channels; ch += V16)
        gradient_row(p, row, 1, (int)min64(V16, p->channels - ch), ch);
}

/* Brings rows up to and including `last` into the ring. */
static void ring_fill(piece *p, int64_t last) {
    for (; p->next <= last; p->next++) {
        if (p->j->back && p->next >= p->own && p->next < p->own_end)
            activate_and_derive(p, p->next);
        else activate(p, p->next);
    }
}

/* The rows of s under output row i; NULL outside the image. */
static void rows_under(piece *p, int64_t i, const float **rows) {
    const job *j = p->j;
    int64_t first = i * j->stride - j->top;
    ring_fill(p, min64(first + j->kernel, j->height) - 1);
    for (int a = 0; a < j->kernel; a++) {
        int64_t at = first + a;
        rows[a] = at < 0 || at >= j->height ? NULL : ring_row(p, at);
    }
}

/* --- forward ---------------------------------------------------------------------------------- */

static void forward_piece(void *arg, int64_t number, int thread) {
    const job *j = arg;
    piece p = piece_of(j, number, thread);
    const float *rows[MG_MAX_KERNEL];
    for (int64_t i = p.out; i < p.out_end; i++) {
        rows_under(&p, i, rows);
        depthwise_row r = {.rows = rows,
                           .width = j->width,
                           .columns = j->columns,
                           .channels = p.channels,
                           .x_step = GROUP,
                           .w_step = j->channels,
                           .y_step = j->channels,
                           .left = j->left,
                           .kernel_rows = j->kernel,
                           .kernel = j->kernel,
                           .stride = j->stride,
                           .stream = j->streams,
                           .w = (const float *)j->n.c->x[W] + p.channel,
                           .y = (float *)j->n.c->y +
                                (p.image * j->rows + i) * j->columns * j->channels + p.channel};
        depthwise_row_run(&r);
    }
    if (j->streams) stream_end();
}

static void forward(const mg_op_call *c) {
    job j = job_of(c, false);
    norm_statistics(&j.n, c->scratch);
    j.rings = (float *)c->scratch + norm_floats(&j.n);
    j.streams = stream_wanted(c->y, j.channels, mg_shape_elements(&c->y_shape));
    mg_parallel_for(c->pool, j.images * j.bands * j.groups, forward_piece, &j);
}

/* --- backward --------------------------------------------------------------------------------- */

static void backward_piece(void *arg, int64_t number, int thread) {
    const job *j = arg;
    piece p = piece_of(j, number, thread);
    const float *rows[MG_MAX_KERNEL];
    for (int64_t t = 0; t < 2 + j->taps; t++)
        memset(p.sum_dn + t * j->channels, 0, (size_t)p.channels * sizeof *p.sum_dn);
    for (int64_t i = p.out; i < p.out_end; i++) {
        rows_under(&p, i, rows);
        depthwise_taps t = {.dy = (const float *)j->n.c->dy +
                                  (p.image * j->rows + i) * j->columns * j->channels + p.channel,
                            .x_step = GROUP,
                            .dy_step = j->channels,
                            .w_step = j->channels,
                            .width = j->width,
                            .columns = j->columns,
                            .channels = p.channels,
                            .left = j->left,
                            .kernel = j->kernel,
                            .stride = j->stride};
        for (int a = 0; a < j->kernel; a++) {
            if (!rows[a]) continue;
            t.x = rows[a];
            t.dw = p.dw + a * j->kernel * j->channels;
            depthwise_taps_run(&t);
        }
    }
    ring_fill(&p, p.own_end - 1); /* rows of the band that no output row reached */
    if (j->streams) stream_end();
}

/* Row `row` of the partial arrays (sum dn, sum dn h, taps) over all pieces, for one channel. */
static double total_of(const job *j, int64_t row, int64_t ch) {
    double sum = 0;
    for (int64_t k = 0; k < j->images * j->bands; k++)
        sum += (double)j->partial[k * partial_floats(j) + row * j->channels + ch];
    return sum;
}

static void combine_block(void *arg, int64_t block, int thread) {
    (void)thread;
    const job *j = arg;
    float *dw = j->n.c->dx[W];
    for (int64_t ch = block * V16; ch < min64((block + 1) * V16, j->channels); ch++) {
        norm_note_sums(&j->n, ch, total_of(j, 0, ch), total_of(j, 1, ch));
        for (int64_t t = 0; dw && t < j->taps; t++)
            dw[t * j->channels + ch] += (float)total_of(j, 2 + t, ch);
    }
}

static void backward(const mg_op_call *c) {
    job j = job_of(c, true);
    j.rings = c->scratch;
    j.partial = j.rings + mg_pool_threads(c->pool) * ring_floats(&j);
    j.gradient.taps = j.partial + j.images * j.bands * partial_floats(&j);
    j.n.mean_dy = j.gradient.taps + j.taps * j.channels;
    j.n.mean_dy_h = j.n.mean_dy + j.channels;
    j.dn = dn_apart(c) ? j.n.mean_dy_h + j.channels : c->dx[NORM_X];
    j.streams = stream_wanted(j.dn, j.channels, mg_shape_elements(&c->x_shape[NORM_X]));
    depthwise_sort_taps(&j.gradient, c->x[W]);
    mg_parallel_for(c->pool, j.images * j.bands * j.groups, backward_piece, &j);
    mg_parallel_for(c->pool, ceil_div(j.channels, V16), combine_block, &j);
    norm_dx(&j.n, j.dn);
}

extern MG_CPU_KERNELS(norm_depthwise_conv);
MG_CPU_KERNELS(norm_depthwise_conv) = {forward, backward, scratch_bytes, 1};
