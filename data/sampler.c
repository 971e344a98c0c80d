#include "data/sampler.h"

#include <stdlib.h>

#include "tensor/rng.h"

static mg_status no_memory(mg_error *err) {
    return mg_fail(err, MG_ERR_MEMORY, "sampler: out of memory");
}

/* Splits groups by label: negatives from the front of `sorted`, positives behind them. */
static mg_status by_class(const mg_manifest *m, const int32_t *groups, int32_t count,
                          int32_t **sorted, int32_t *negatives, mg_error *err) {
    *sorted = malloc(((size_t)count + 1) * sizeof **sorted);
    if (!*sorted) return no_memory(err);
    int32_t n = 0;
    for (int label = 0; label < 2; label++) {
        for (int32_t i = 0; i < count; i++)
            if (m->group[groups[i]].cancer == label) (*sorted)[n++] = groups[i];
        if (label == 0) *negatives = n;
    }
    if (n == count) return MG_OK;
    free(*sorted);
    *sorted = NULL;
    for (int32_t i = 0; i < count; i++)
        if (m->group[groups[i]].cancer < 0)
            return mg_fail(err, MG_ERR_ARG, "prediction id %s has no label, so it cannot be drawn",
                           m->group[groups[i]].id);
    return mg_fail(err, MG_ERR_ARG, "sampler: a group index is out of range");
}

/* Draw i takes its class from number 2i of the epoch's stream and its member from 2i + 1, so that
 * it does not depend on how many draws there are. */
static void draw_balanced(const int32_t *sorted, int32_t negatives, int32_t count, uint64_t seed,
                          uint32_t epoch, int32_t *out, int32_t draws) {
    mg_rng_key key = {.seed = seed, .purpose = MG_RNG_SAMPLER, .epoch = epoch};
    int32_t size[2] = {negatives, count - negatives};
    for (int32_t i = 0; i < draws; i++) {
        uint32_t at = 2 * (uint32_t)i;
        int label = (int)mg_rng_below(&key, at, 2);
        if (size[label] == 0) label = !label;
        uint32_t member = mg_rng_below(&key, at + 1, (uint32_t)size[label]);
        out[i] = sorted[(label ? negatives : 0) + (int32_t)member];
    }
}

enum { STREAM_SHUFFLE = 1 << 8, STREAM_VALIDATION = 2 << 8 };

/* Fisher–Yates; `pass` names the permutation. */
static void shuffle(int32_t *list, int32_t count, uint64_t seed, uint32_t stream, uint32_t pass) {
    mg_rng_key key = {.seed = seed, .purpose = MG_RNG_SAMPLER + stream, .epoch = pass};
    for (int32_t i = count - 1; i > 0; i--) {
        int32_t j = (int32_t)mg_rng_below(&key, (uint32_t)i, (uint32_t)i + 1);
        int32_t t = list[i];
        list[i] = list[j];
        list[j] = t;
    }
}

static mg_status draw_shuffled(const int32_t *groups, int32_t count, uint64_t seed, uint32_t epoch,
                               int32_t *out, int32_t draws, mg_error *err) {
    int32_t *list = malloc((size_t)count * sizeof *list);
    if (!list) return no_memory(err);
    uint64_t at = (uint64_t)epoch * (uint64_t)draws;
    for (int32_t done = 0; done < draws;) {
        uint64_t pass = at / (uint64_t)count;
        int32_t from = (int32_t)(at % (uint64_t)count);
        for (int32_t i = 0; i < count; i++) list[i] = groups[i];
        shuffle(list, count, seed, STREAM_SHUFFLE, (uint32_t)pass);
        for (; from < count && done < draws; from++, at++) out[done++] = list[from];
    }
    free(list);
    return MG_OK;
}

mg_status mg_sampler_draw(const mg_manifest *m, const int32_t *groups, int32_t count,
                          mg_sampling sampling, uint64_t seed, uint32_t epoch, int32_t *out,
                          int32_t draws, mg_error *err) {
    if (count < 1 || draws < 0)
        return mg_fail(err, MG_ERR_ARG, "sampler: %d draws from %d prediction ids", draws, count);
    if (sampling == MG_SAMPLE_SHUFFLE)
        return draw_shuffled(groups, count, seed, epoch, out, draws, err);
    int32_t *sorted, negatives;
    mg_status status = by_class(m, groups, count, &sorted, &negatives, err);
    if (status) return status;
    draw_balanced(sorted, negatives, count, seed, epoch, out, draws);
    free(sorted);
    return MG_OK;
}

static int ascending(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

mg_status mg_sampler_balanced_set(const mg_manifest *m, const int32_t *groups, int32_t count,
                                  uint64_t seed, int32_t *out, int32_t *chosen, mg_error *err) {
    int32_t *sorted, negatives;
    *chosen = 0;
    mg_status status = by_class(m, groups, count, &sorted, &negatives, err);
    if (status) return status;
    int32_t positives = count - negatives;
    shuffle(sorted, negatives, seed, STREAM_VALIDATION, 0);
    int32_t take = negatives < positives ? negatives : positives;
    for (int32_t i = 0; i < take; i++) out[(*chosen)++] = sorted[i];
    for (int32_t i = 0; i < positives; i++) out[(*chosen)++] = sorted[negatives + i];
    qsort(out, (size_t)*chosen, sizeof *out, ascending);
    free(sorted);
    return MG_OK;
}

void mg_class_weights(const mg_manifest *m, const int32_t *groups, int32_t count, float weight[2]) {
    int64_t images[2] = {0, 0};
    for (int32_t i = 0; i < count; i++) {
        const mg_manifest_group *g = &m->group[groups[i]];
        for (int32_t k = 0; k < g->count; k++)
            images[m->image[m->group_image[g->first + k]].cancer > 0]++;
    }
    for (int label = 0; label < 2; label++)
        weight[label] =
            images[0] && images[1]
                ? (float)((double)(images[0] + images[1]) / (2.0 * (double)images[label]))
                : 1.0f;
}

/* --- plans ------------------------------------------------------------------------------------ */

static mg_status allocate(mg_plan *out, int64_t items, int64_t batches, mg_error *err) {
    *out = (mg_plan){0};
    if (items > INT32_MAX - 1 || batches > INT32_MAX - 1)
        return mg_fail(err, MG_ERR_ARG, "an epoch of %lld images is too long", (long long)items);
    out->item = calloc((size_t)items + 1, sizeof *out->item);
    out->first = calloc((size_t)batches + 1, sizeof *out->first);
    if (out->item && out->first) return MG_OK;
    mg_plan_free(out);
    return no_memory(err);
}

static void add_item(mg_plan *p, int32_t image) {
    p->item[p->item_count] =
        (mg_plan_item){.image = image, .sample = (uint32_t)p->item_count, .flip = 0};
    p->item_count++;
}

mg_status mg_plan_groups(const mg_manifest *m, const int32_t *drawn, int32_t count, int32_t ids,
                         mg_plan *out, mg_error *err) {
    *out = (mg_plan){0};
    if (ids < 1 || count < 0)
        return mg_fail(err, MG_ERR_ARG, "a batch of %d prediction ids: at least 1", ids);
    int64_t items = 0;
    for (int32_t i = 0; i < count; i++) items += m->group[drawn[i]].count;
    mg_status status = allocate(out, items, (count + (int64_t)ids - 1) / ids, err);
    if (status) return status;
    for (int32_t i = 0; i < count; i++) {
        const mg_manifest_group *g = &m->group[drawn[i]];
        for (int32_t k = 0; k < g->count; k++) add_item(out, m->group_image[g->first + k]);
        if ((i + 1) % ids == 0 || i + 1 == count) out->first[++out->batch_count] = out->item_count;
    }
    return MG_OK;
}

mg_status mg_plan_images(const mg_manifest *m, const int32_t *list, int32_t count, int32_t images,
                         mg_plan *out, mg_error *err) {
    *out = (mg_plan){0};
    if (!list) count = m->image_count;
    if (images < 1 || count < 0)
        return mg_fail(err, MG_ERR_ARG, "a batch of %d images: at least 1", images);
    mg_status status = allocate(out, count, (count + (int64_t)images - 1) / images, err);
    if (status) return status;
    for (int32_t i = 0; i < count; i++) {
        add_item(out, list ? list[i] : i);
        if ((i + 1) % images == 0 || i + 1 == count)
            out->first[++out->batch_count] = out->item_count;
    }
    return MG_OK;
}

void mg_plan_free(mg_plan *plan) {
    free(plan->item);
    free(plan->first);
    *plan = (mg_plan){0};
}
