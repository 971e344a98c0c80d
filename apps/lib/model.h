/* model.h: a checkpoint as a whole: the network and what must be known to use it rightly.
 *
 * The card travels in the checkpoint's metadata (key "mammograd", JSON), so predict prepares images
 * exactly as training did, applies the threshold found there, and refuses options that contradict
 * it. */
#ifndef MG_APPS_LIB_MODEL_H
#define MG_APPS_LIB_MODEL_H

#include "data/aggregate.h"
#include "data/preprocess.h"
#include "nn/state.h"

typedef struct mg_card {
    char arch[16];
    mg_preprocess_settings input;
    bool imagenet_norm; /* grey minus ImageNet's mean over its deviation, per channel */
    double bn_eps, bn_momentum;
    mg_padding padding;
    int nominal_size; /* of MG_PAD_STATIC */
    mg_aggregation aggregation;
    /* F1-best on validation data; .5 before that. Cards without the patient's: the breast's. */
    double image_threshold, breast_threshold, patient_threshold;
    double prevalence; /* of cancer among the training data's breasts */
    bool balanced;     /* trained with equal class mass: probabilities need correction */
    int first_trained; /* stages below were frozen */
    int best_epoch;
    double validation_loss; /* of the weights in this file; NaN unknown */
    char data[128];         /* what it was trained on, for people */
} mg_card;

/* JSON text in malloc'ed memory, NULL on failure. */
char *mg_card_to_json(const mg_card *card, mg_error *err);
mg_status mg_card_from_json(const char *text, mg_card *out, mg_error *err);

/* What the checkpoint's conventions mean for a network. */
void mg_card_options(const mg_card *card, mg_efficientnet_options *options);

typedef struct mg_model {
    mg_card card;
    mg_context *ctx;
    mg_efficientnet *net;
} mg_model;

/* For inference: nothing is trained, everything is folded, nothing is recorded. device as for
 * mg_device_open: "cpu", "cuda:1", … */
mg_status mg_model_open(const char *path, const char *device, mg_pool *pool, mg_model *out,
                        mg_error *err);
void mg_model_close(mg_model *model);

/* A batch as the network wants it: [N,H,W,1] grey in [0,1], or three normalised channels. */
mg_tensor *mg_model_input(mg_context *ctx, const mg_card *card, const float *pixels, int count);

#endif
