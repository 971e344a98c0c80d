#include "nn/arch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const mg_stage_row base[] = {
    {3, 1, 1, 16, 1},  {3, 2, 6, 24, 2},  {5, 2, 6, 40, 2},  {3, 2, 6, 80, 3},
    {5, 1, 6, 112, 3}, {5, 2, 6, 192, 4}, {3, 1, 6, 320, 1},
};

static const struct {
    double width, depth, dropout, bn_eps, bn_momentum;
    int resolution;
} variants[8] = {
    {1.0, 1.0, 0.2, 1e-5, 0.1, 224},  {1.0, 1.1, 0.2, 1e-5, 0.1, 240},
    {1.1, 1.2, 0.3, 1e-5, 0.1, 260},  {1.2, 1.4, 0.3, 1e-5, 0.1, 300},
    {1.4, 1.8, 0.4, 1e-5, 0.1, 380},  {1.6, 2.2, 0.4, 1e-3, 0.01, 456},
    {1.8, 2.6, 0.5, 1e-3, 0.01, 528}, {2.0, 3.1, 0.5, 1e-3, 0.01, 600},
};

static int round_width(int base_width, double multiplier) {
    double wanted = base_width * multiplier;
    int n = (int)(wanted + 4) / 8 * 8;
    if (n < 8) n = 8;
    return n < 0.9 * wanted ? n + 8 : n;
}

mg_arch mg_arch_custom(const char *name, int stem, const mg_stage_row *rows, int stages, int head) {
    mg_arch p = {.stem = stem,
                 .head = head,
                 .stages = stages,
                 .dropout = 0.2,
                 .stochastic_depth = 0.2,
                 .bn_eps = 1e-5,
                 .bn_momentum = 0.1,
                 .resolution = 64};
    snprintf(p.name, sizeof p.name, "%s", name);
    MG_ASSERT(stages >= 1 && stages < MG_STAGE_HEAD); /* stages are numbered up to the classifier */
    int in = stem;
    for (int s = 0; s < stages; s++)
        for (int r = 0; r < rows[s].repeats; r++) {
            MG_ASSERT(p.blocks < MG_ARCH_MAX_BLOCKS);
            int stride = r == 0 ? rows[s].stride : 1, out = rows[s].out;
            p.block[p.blocks++] = (mg_block_arch){.stage = s + 1,
                                                  .index = r,
                                                  .kernel = rows[s].kernel,
                                                  .stride = stride,
                                                  .in = in,
                                                  .expanded = in * rows[s].expansion,
                                                  .squeezed = in / 4 > 1 ? in / 4 : 1,
                                                  .out = out,
                                                  .residual = stride == 1 && in == out};
            in = out;
        }
    return p;
}

mg_arch mg_arch_efficientnet(int variant) {
    MG_ASSERT(variant >= 0 && variant < 8);
    double width = variants[variant].width, depth = variants[variant].depth;
    mg_stage_row rows[MG_COUNT(base)];
    for (int s = 0; s < MG_COUNT(base); s++) {
        rows[s] = base[s];
        rows[s].out = round_width(base[s].out, width);
        rows[s].repeats = (int)ceil(base[s].repeats * depth);
    }
    char name[16];
    snprintf(name, sizeof name, "b%d", variant);
    mg_arch p = mg_arch_custom(name, round_width(32, width), rows, MG_COUNT(base),
                               4 * rows[MG_COUNT(base) - 1].out);
    p.dropout = variants[variant].dropout;
    p.bn_eps = variants[variant].bn_eps;
    p.bn_momentum = variants[variant].bn_momentum;
    p.resolution = variants[variant].resolution;
    return p;
}

int mg_arch_variant(const char *name) {
    if (strncmp(name, "efficientnet_", 13) == 0 || strncmp(name, "efficientnet-", 13) == 0)
        name += 13;
    bool fits = (name[0] == 'b' || name[0] == 'B') && name[1] >= '0' && name[1] <= '7' && !name[2];
    return fits ? name[1] - '0' : -1;
}

bool mg_arch_by_name(const char *name, mg_arch *out) {
    static const mg_stage_row pico[] = {
        {3, 1, 1, 8, 1},  {3, 2, 4, 16, 1}, {5, 2, 4, 24, 1},  {3, 2, 4, 40, 2},
        {5, 1, 4, 56, 1}, {5, 2, 4, 96, 2}, {3, 1, 4, 160, 1},
    };
    int variant = mg_arch_variant(name);
    if (variant >= 0) *out = mg_arch_efficientnet(variant);
    else if (strcmp(name, "pico") == 0)
        *out = mg_arch_custom("pico", 16, pico, MG_COUNT(pico), 640);
    else return false;
    return true;
}
