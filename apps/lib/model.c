#include "apps/lib/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/json.h"

enum { CARD_VERSION = 1 };

static const char *const paddings[] = {"symmetric", "same", "same-static"};

char *mg_card_to_json(const mg_card *card, mg_error *err) {
    char input[160];
    mg_preprocess_text(&card->input, input, sizeof input);
    mg_json_writer *w = mg_json_writer_create(0);
    mg_json_begin_object(w);
    mg_json_key(w, "version"), mg_json_integer(w, CARD_VERSION);
    mg_json_key(w, "arch"), mg_json_string(w, card->arch);
    mg_json_key(w, "input"), mg_json_string(w, input);
    mg_json_key(w, "imagenet_norm"), mg_json_bool(w, card->imagenet_norm);
    mg_json_key(w, "bn_eps"), mg_json_real(w, card->bn_eps);
    mg_json_key(w, "bn_momentum"), mg_json_real(w, card->bn_momentum);
    mg_json_key(w, "padding"), mg_json_string(w, paddings[card->padding]);
    mg_json_key(w, "nominal_size"), mg_json_integer(w, card->nominal_size);
    mg_json_key(w, "aggregation"), mg_json_string(w, mg_aggregation_name(card->aggregation));
    mg_json_key(w, "image_threshold"), mg_json_real(w, card->image_threshold);
    mg_json_key(w, "breast_threshold"), mg_json_real(w, card->breast_threshold);
    mg_json_key(w, "patient_threshold"), mg_json_real(w, card->patient_threshold);
    mg_json_key(w, "prevalence"), mg_json_real(w, card->prevalence);
    mg_json_key(w, "balanced"), mg_json_bool(w, card->balanced);
    mg_json_key(w, "first_trained"), mg_json_integer(w, card->first_trained);
    mg_json_key(w, "best_epoch"), mg_json_integer(w, card->best_epoch);
    mg_json_key(w, "validation_loss");
    if (isfinite(card->validation_loss)) mg_json_real(w, card->validation_loss);
    else mg_json_null(w);
    mg_json_key(w, "data"), mg_json_string(w, card->data);
    mg_json_end(w);
    return mg_json_writer_finish(w, NULL, err);
}

static mg_status read_names(const mg_json *root, mg_card *out, mg_error *err) {
    const char *arch = mg_json_get_string(root, "arch"), *input = mg_json_get_string(root, "input");
    const char *padding = mg_json_get_string(root, "padding");
    const char *aggregation = mg_json_get_string(root, "aggregation");
    const char *data = mg_json_get_string(root, "data");
    mg_arch known;
    if (!arch || !mg_arch_by_name(arch, &known))
        return mg_fail(err, MG_ERR_FORMAT, "the model's card names no architecture we know (%s)",
                       arch ? arch : "none");
    snprintf(out->arch, sizeof out->arch, "%s", arch);
    if (!input) return mg_fail(err, MG_ERR_FORMAT, "the model's card does not describe its input");
    mg_status s = mg_preprocess_parse(input, &out->input, err);
    if (s) return s;
    int found = -1;
    for (int i = 0; i < MG_COUNT(paddings); i++)
        if (padding && strcmp(padding, paddings[i]) == 0) found = i;
    if (found < 0) return mg_fail(err, MG_ERR_FORMAT, "the model's card has an unknown padding");
    out->padding = (mg_padding)found;
    if (!aggregation || !mg_aggregation_parse(aggregation, &out->aggregation))
        return mg_fail(err, MG_ERR_FORMAT, "the model's card has an unknown aggregation");
    snprintf(out->data, sizeof out->data, "%s", data ? data : "");
    return MG_OK;
}

mg_status mg_card_from_json(const char *text, mg_card *out, mg_error *err) {
    mg_json_document *document = mg_json_parse(text, strlen(text), err);
    if (!document) return err ? err->code : MG_ERR_FORMAT;
    const mg_json *root = mg_json_root(document);
    *out = (mg_card){.image_threshold = 0.5,
                     .breast_threshold = 0.5,
                     .validation_loss = NAN,
                     .input = mg_preprocess_defaults(),
                     .balanced = true};
    int64_t version = 0, nominal = 0, first = 0, best = 0;
    mg_json_get_integer(root, "version", &version);
    mg_json_get_integer(root, "nominal_size", &nominal);
    mg_json_get_integer(root, "first_trained", &first);
    mg_json_get_integer(root, "best_epoch", &best);
    mg_json_get_bool(root, "imagenet_norm", &out->imagenet_norm);
    mg_json_get_bool(root, "balanced", &out->balanced);
    mg_json_get_real(root, "bn_eps", &out->bn_eps);
    mg_json_get_real(root, "bn_momentum", &out->bn_momentum);
    mg_json_get_real(root, "image_threshold", &out->image_threshold);
    mg_json_get_real(root, "breast_threshold", &out->breast_threshold);
    out->patient_threshold = out->breast_threshold;
    mg_json_get_real(root, "patient_threshold", &out->patient_threshold);
    mg_json_get_real(root, "prevalence", &out->prevalence);
    mg_json_get_real(root, "validation_loss", &out->validation_loss);
    out->nominal_size = (int)nominal;
    out->first_trained = (int)first;
    out->best_epoch = (int)best;
    mg_status s = version != CARD_VERSION
                      ? mg_fail(err, MG_ERR_UNSUPPORTED,
                                "the model's card has version %lld, this program knows %d",
                                (long long)version, CARD_VERSION)
                      : read_names(root, out, err);
    mg_json_free(document);
    return s;
}

void mg_card_options(const mg_card *card, mg_efficientnet_options *options) {
    options->bn_eps = card->bn_eps;
    options->bn_momentum = card->bn_momentum;
    options->padding = card->padding;
    options->nominal_size = card->nominal_size;
}

static mg_status build(const mg_weights *file, const char *device, mg_pool *pool, mg_model *out,
                       mg_error *err) {
    mg_arch arch;
    mg_arch_by_name(out->card.arch, &arch);
    mg_efficientnet_options options = {
        .first_trained = MG_STAGE_CLASSIFIER + 1, .dropout = -1, .stochastic_depth = -1};
    mg_card_options(&out->card, &options);
    mg_device id;
    const mg_device_plugin *plugin;
    mg_status s = mg_device_open(device, &id, &plugin, err);
    if (s) return s;
    out->ctx = mg_context_create(id, MG_F32, pool, 0);
    if (!out->ctx) return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    mg_context_use(out->ctx, id, plugin);
    out->ctx->recording = false;
    out->net = mg_efficientnet_create(out->ctx, &arch, &options);
    if (!out->net) return mg_fail(err, out->ctx->error.code, "%s", out->ctx->error.message);
    mg_key_import import;
    s = mg_state_probe(file, &arch, 3, 1, MG_KEYS_TORCHVISION, &import, err);
    if (s) return s;
    if (import.head_reinitialised)
        s = mg_fail(err, MG_ERR_FORMAT, "the file has no one-logit classifier; train one first");
    if (!s) s = mg_state_load(out->net, &import, err);
    mg_key_import_free(&import);
    if (s) return s;
    mg_efficientnet_fold(out->ctx, out->net, 0, MG_STAGE_CLASSIFIER);
    return out->ctx->error.code ? mg_fail(err, out->ctx->error.code, "%s", out->ctx->error.message)
                                : MG_OK;
}

mg_status mg_model_open(const char *path, const char *device, mg_pool *pool, mg_model *out,
                        mg_error *err) {
    *out = (mg_model){0};
    mg_weights *file = mg_weights_open(path, err);
    if (!file) return err ? err->code : MG_ERR_IO;
    const char *text = mg_weights_metadata(file, "mammograd");
    mg_status s = text ? mg_card_from_json(text, &out->card, err)
                       : mg_fail(err, MG_ERR_FORMAT,
                                 "not a model of ours: it has no card "
                                 "(apps/train --pretrained makes one from bare weights)");
    if (!s) s = build(file, device, pool, out, err);
    mg_weights_close(file);
    if (s) {
        mg_error_prefix(err, "%s", path);
        mg_model_close(out);
    }
    return s;
}

void mg_model_close(mg_model *model) {
    mg_efficientnet_destroy(model->net);
    mg_context_destroy(model->ctx);
    *model = (mg_model){0};
}

mg_tensor *mg_model_input(mg_context *ctx, const mg_card *card, const float *pixels, int count) {
    static const float mean[3] = {0.485f, 0.456f, 0.406f}, deviation[3] = {0.229f, 0.224f, 0.225f};
    int64_t h = card->input.height, w = card->input.width;
    if (!card->imagenet_norm)
        return mg_input(ctx, "images", (mg_shape)MG_SHAPE(count, h, w, 1), pixels);
    mg_shape shape = MG_SHAPE(count, h, w, 3);
    if (ctx->dry_run) return mg_input(ctx, "images", shape, NULL);
    float *out = malloc((size_t)mg_shape_elements(&shape) * sizeof *out);
    if (!out) {
        mg_fail(&ctx->error, MG_ERR_MEMORY, "images: out of memory");
        return NULL;
    }
    for (int64_t i = 0; i < count * h * w; i++)
        for (int c = 0; c < 3; c++) out[3 * i + c] = (pixels[i] - mean[c]) / deviation[c];
    mg_tensor *x = mg_input(ctx, "images", shape, out);
    free(out);
    return x;
}
