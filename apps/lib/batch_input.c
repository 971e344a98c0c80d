#include "apps/lib/batch_input.h"

bool mg_batch_on_device(const mg_context *ctx, const mg_card *card,
                        const mg_augment_settings *augment) {
    return ctx->plugin && !card->imagenet_norm && !(augment && augment->gamma > 0);
}

mg_tensor *mg_batch_input(mg_context *ctx, const mg_card *card, const mg_batch *batch, int first,
                          int count, bool levels) {
    int64_t h = card->input.height, w = card->input.width, at = first * h * w;
    if (!levels) return mg_model_input(ctx, card, batch->pixels ? batch->pixels + at : NULL, count);
    return mg_input_levels(ctx, "images", (mg_shape)MG_SHAPE(count, h, w, 1),
                           batch->levels ? batch->levels + at : NULL,
                           batch->how ? batch->how + first : NULL);
}
