#include "data/aggregate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[MG_AGGREGATE_COUNT] = {"seed", "mean", "max", "noisy-or"};

const char *mg_aggregation_name(mg_aggregation how) {
    MG_ASSERT((unsigned)how < MG_AGGREGATE_COUNT);
    return names[how];
}

bool mg_aggregation_parse(const char *name, mg_aggregation *how) {
    for (int i = 0; i < MG_AGGREGATE_COUNT; i++) {
        if (strcmp(name, names[i]) == 0) {
            *how = (mg_aggregation)i;
            return true;
        }
    }
    return false;
}

/* What each formula needs, gathered one probability at a time. */
typedef struct bag {
    double sum, square, max, none; /* none: product of (1 - p) */
    int64_t n;
} bag;

static const bag empty_bag = {.none = 1};

static void bag_add(bag *b, double p) {
    b->sum += p;
    b->square += p * p;
    b->max = b->n == 0 || p > b->max ? p : b->max;
    b->none *= 1 - p;
    b->n++;
}

static double bag_verdict(const bag *b, mg_aggregation how) {
    double n = (double)b->n;
    if (b->n == 0) return NAN;
    switch (how) {
    case MG_AGGREGATE_SEED: return 1 - pow(1 - b->square / n, n);
    case MG_AGGREGATE_MEAN: return b->sum / n;
    case MG_AGGREGATE_MAX: return b->max;
    case MG_AGGREGATE_NOISY_OR: return 1 - b->none;
    case MG_AGGREGATE_COUNT: break;
    }
    mg_assert_failed("an aggregation that does not exist", __FILE__, __LINE__);
}

double mg_aggregate(mg_aggregation how, const double *probability, size_t n) {
    bag b = empty_bag;
    for (size_t i = 0; i < n; i++) bag_add(&b, probability[i]);
    return bag_verdict(&b, how);
}

mg_status mg_aggregate_groups(mg_aggregation how, const double *probability, const int32_t *group,
                              size_t n, int32_t groups, double *out, mg_error *err) {
    if (groups < 0) return mg_fail(err, MG_ERR_ARG, "aggregation over %d groups", groups);
    bag *bags = calloc((size_t)groups + 1, sizeof *bags);
    if (!bags) return mg_fail(err, MG_ERR_MEMORY, "no memory to aggregate %d groups", groups);
    for (int32_t g = 0; g < groups; g++) bags[g] = empty_bag;
    for (size_t i = 0; i < n; i++) {
        MG_ASSERT(group[i] >= 0 && group[i] < groups);
        bag_add(&bags[group[i]], probability[i]);
    }
    for (int32_t g = 0; g < groups; g++) out[g] = bag_verdict(&bags[g], how);
    free(bags);
    return MG_OK;
}

void mg_aggregate_labels(const uint8_t *label, const int32_t *group, size_t n, int32_t groups,
                         uint8_t *out) {
    memset(out, 0, (size_t)groups);
    for (size_t i = 0; i < n; i++) out[group[i]] |= label[i];
}

/* FNV-1a, 64 bits: short ids, no adversary that the file's author is not already. */
static uint64_t hash_string(const char *s) {
    uint64_t h = 0xcbf29ce484222325u;
    for (; *s; s++) h = (h ^ (uint8_t)*s) * 0x100000001b3u;
    return h ^ h >> 29;
}

mg_status mg_group_strings(const char *const *ids, size_t n, int32_t *group, int32_t *first,
                           int32_t *groups, mg_error *err) {
    *groups = 0;
    if (n > INT32_MAX / 2) return mg_fail(err, MG_ERR_ARG, "%zu ids are too many to group", n);
    size_t slots = 16;
    while (slots < 2 * n) slots *= 2;
    int32_t *table = calloc(slots, sizeof *table); /* item number + 1 that opened the group */
    if (!table) return mg_fail(err, MG_ERR_MEMORY, "no memory to group %zu ids", n);
    for (size_t i = 0; i < n; i++) {
        size_t slot = (size_t)hash_string(ids[i]) & (slots - 1);
        while (table[slot] && strcmp(ids[table[slot] - 1], ids[i]) != 0)
            slot = (slot + 1) & (slots - 1);
        if (table[slot]) {
            group[i] = group[table[slot] - 1];
            continue;
        }
        table[slot] = (int32_t)i + 1;
        group[i] = (*groups)++;
        if (first) first[group[i]] = (int32_t)i;
    }
    free(table);
    return MG_OK;
}

double mg_prior_correct(double probability, double prevalence) {
    double yes = probability * prevalence, no = (1 - probability) * (1 - prevalence);
    return yes / (yes + no);
}
