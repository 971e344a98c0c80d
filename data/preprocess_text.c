/* Settings as text: option values, the cache key's part, checkpoint metadata. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/preprocess.h"

static const char *const windows[] = {
    [MG_WINDOW_SEED] = "seed", [MG_WINDOW_DICOM] = "dicom", [MG_WINDOW_NONE] = "none"};
static const char *const crops[] = {
    [MG_CROP_BREAST] = "breast", [MG_CROP_ZERO] = "zero", [MG_CROP_NONE] = "none"};

mg_preprocess_settings mg_preprocess_defaults(void) {
    return (mg_preprocess_settings){.height = 955,
                                    .width = 500,
                                    .window = MG_WINDOW_SEED,
                                    .crop = MG_CROP_BREAST,
                                    .margin = 0.01f,
                                    .reduce = 0};
}

const char *mg_window_name(mg_window_mode mode) { return windows[mode]; }
const char *mg_crop_name(mg_crop_mode mode) { return crops[mode]; }

mg_status mg_window_from_name(const char *name, mg_window_mode *out, mg_error *err) {
    for (int i = 0; i < 3; i++)
        if (strcmp(name, windows[i]) == 0) return *out = (mg_window_mode)i, MG_OK;
    return mg_fail(err, MG_ERR_ARG, "window \"%.40s\": choose seed, dicom or none", name);
}

mg_status mg_crop_from_name(const char *name, mg_crop_mode *out, mg_error *err) {
    for (int i = 0; i < 3; i++)
        if (strcmp(name, crops[i]) == 0) return *out = (mg_crop_mode)i, MG_OK;
    return mg_fail(err, MG_ERR_ARG, "crop \"%.40s\": choose breast, zero or none", name);
}

mg_status mg_reduce_from_name(const char *name, int *out, mg_error *err) {
    int n = 0, used = 0;
    if (strcmp(name, "off") == 0) return *out = 0, MG_OK;
    if (strcmp(name, "auto") == 0) return *out = MG_REDUCE_AUTO, MG_OK;
    if (name[0] >= '0' && name[0] <= '9' && sscanf(name, "%2d%n", &n, &used) == 1 && !name[used] &&
        n <= 32)
        return *out = n, MG_OK;
    return mg_fail(err, MG_ERR_ARG, "reduction \"%.40s\": choose off, auto or 0 … 32", name);
}

const char *mg_reduce_name(int reduce, char out[12]) {
    if (reduce == MG_REDUCE_AUTO) return "auto";
    if (reduce == 0) return "off";
    snprintf(out, 12, "%d", reduce);
    return out;
}

void mg_preprocess_text(const mg_preprocess_settings *s, char *out, size_t size) {
    char reduce[16] = "auto";
    char margin[32];
    for (int digits = 1; digits <= 9; digits++) { /* the shortest that reads back the same */
        snprintf(margin, sizeof margin, "%.*g", digits, (double)s->margin);
        if (strtof(margin, NULL) == s->margin) break;
    }
    if (s->reduce >= 0) snprintf(reduce, sizeof reduce, "%d", s->reduce);
    snprintf(out, size, "%ux%u window=%s crop=%s margin=%s reduce=%s", s->height, s->width,
             windows[s->window], crops[s->crop], margin, reduce);
}

static mg_status bad_word(const char *word, mg_error *err) {
    return mg_fail(err, MG_ERR_FORMAT, "preprocessing settings: cannot read \"%.60s\"", word);
}

static mg_status parse_word(const char *word, mg_preprocess_settings *s, mg_error *err) {
    int used = 0;
    uint32_t h, w;
    if (strncmp(word, "window=", 7) == 0) return mg_window_from_name(word + 7, &s->window, err);
    if (strncmp(word, "crop=", 5) == 0) return mg_crop_from_name(word + 5, &s->crop, err);
    if (strcmp(word, "reduce=auto") == 0) return s->reduce = MG_REDUCE_AUTO, MG_OK;
    if (strncmp(word, "reduce=", 7) == 0) {
        int reduce;
        if (sscanf(word + 7, "%2d%n", &reduce, &used) != 1 || word[7 + used] || reduce < 0)
            return bad_word(word, err);
        return s->reduce = reduce, MG_OK;
    }
    if (strncmp(word, "margin=", 7) == 0) {
        char *stop;
        float margin = strtof(word + 7, &stop);
        if (*stop || stop == word + 7 || !(margin >= 0 && margin <= 1)) return bad_word(word, err);
        return s->margin = margin, MG_OK;
    }
    if (word[0] >= '0' && word[0] <= '9' && sscanf(word, "%5ux%5u%n", &h, &w, &used) == 2 &&
        !word[used] && h > 0 && w > 0) {
        s->height = h;
        s->width = w;
        return MG_OK;
    }
    return bad_word(word, err);
}

mg_status mg_preprocess_parse(const char *text, mg_preprocess_settings *out, mg_error *err) {
    *out = mg_preprocess_defaults();
    mg_status status = MG_OK;
    while (!status) {
        char word[80];
        int used = 0;
        if (sscanf(text, " %79s%n", word, &used) != 1) break;
        text += used;
        status = parse_word(word, out, err);
    }
    return status;
}
