/* trainer_setup.c: opening data, network and optimizer of a run. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/lib/preprocess_choice.h"
#include "apps/lib/trainer.h"
#include "data/files.h"

mg_loader_options mg_trainer_loader(const mg_trainer *t, const mg_plan *plan) {
    int workers = (int)(mg_train.workers ? mg_train.workers : mg_train.threads);
    return (mg_loader_options){.manifest = &t->manifest,
                               .plan = plan,
                               .settings = t->card.input,
                               .cache = t->cache,
                               .device = t->preprocess,
                               .seed = (uint64_t)mg_train.seed,
                               .workers = workers,
                               .strict = mg_train.strict};
}

const mg_augment_settings *mg_trainer_augment(const mg_trainer *t) {
    return mg_train.no_augment ? NULL : &t->augment;
}

static mg_status fill_card(mg_trainer *t, mg_error *err) {
    mg_card *c = &t->card;
    snprintf(c->arch, sizeof c->arch, "%s", mg_train.arch);
    c->input = mg_preprocess_defaults();
    c->input.height = (uint32_t)mg_train.height;
    c->input.width = (uint32_t)mg_train.width;
    mg_status s = mg_window_from_name(mg_train.window, &c->input.window, err);
    if (!s) s = mg_crop_from_name(mg_train.crop, &c->input.crop, err);
    if (!s) s = mg_reduce_from_name(mg_train.j2k_reduce, &c->input.reduce, err);
    c->input.margin = (float)mg_train.margin;
    c->imagenet_norm = mg_train.imagenet_norm;
    mg_aggregation_parse(mg_train.aggregation, &c->aggregation);
    c->image_threshold = c->breast_threshold = c->patient_threshold = 0.5;
    c->balanced = true;
    c->first_trained = (int)mg_train.unfreeze;
    c->validation_loss = NAN;
    snprintf(c->data, sizeof c->data, "%s", mg_path_name(mg_train.data));
    return s;
}

static mg_status create_network(mg_trainer *t, mg_error *err) {
    mg_arch arch;
    if (!mg_arch_by_name(mg_train.arch, &arch))
        return mg_fail(err, MG_ERR_ARG, "--arch %s: known are b0 ... b7 and pico", mg_train.arch);
    mg_efficientnet_options options = {.first_trained = (int)mg_train.unfreeze,
                                       .dropout = mg_train.dropout,
                                       .stochastic_depth = mg_train.stochastic_depth};
    mg_key_import import = {0};
    mg_weights *file = NULL;
    mg_status s = MG_OK;
    if (mg_train.pretrained) {
        mg_key_format format = MG_KEYS_AUTO;
        mg_key_format_parse(mg_train.pretrained_format, &format);
        file = mg_weights_open(mg_train.pretrained, err);
        if (!file) return err->code;
        s = mg_state_probe(file, &arch, 3, 1, format, &import, err);
        if (!s) mg_state_conventions(&import, &options);
    }
    if (!s && !(t->net = mg_efficientnet_create(t->ctx, &arch, &options)))
        s = mg_fail(err, t->ctx->error.code, "%s", t->ctx->error.message);
    if (!s) mg_efficientnet_initialise(t->net, (uint64_t)mg_train.seed);
    if (!s && mg_train.pretrained) {
        s = mg_state_load(t->net, &import, err);
        if (!s) mg_trainer_say(t, "%s: %s", mg_train.pretrained, import.note);
        snprintf(t->start, sizeof t->start, "weights from %s", mg_path_name(mg_train.pretrained));
    } else if (!s) {
        snprintf(t->start, sizeof t->start, "random weights");
        if (mg_train.unfreeze > 0)
            mg_trainer_say(t,
                           "warning: without --pretrained the frozen stages 0-%d are random and "
                           "pass on nothing; consider --unfreeze 0",
                           (int)mg_train.unfreeze - 1);
    }
    if (mg_train.pretrained) mg_key_import_free(&import);
    mg_weights_close(file);
    if (s) return s;
    const mg_efficientnet_options *o = &t->net->options;
    t->card.bn_eps = o->bn_eps;
    t->card.bn_momentum = o->bn_momentum;
    t->card.padding = o->padding;
    t->card.nominal_size = o->nominal_size;
    return MG_OK;
}

static mg_status create_optimizer(mg_trainer *t, mg_error *err) {
    mg_optimizer_options options = {.kind = strcmp(mg_train.optimizer, "sgd") == 0     ? MG_SGD
                                            : strcmp(mg_train.optimizer, "adamw") == 0 ? MG_ADAMW
                                                                                       : MG_ADAM,
                                    .lr = mg_train.lr,
                                    .weight_decay = mg_train.weight_decay,
                                    .momentum = mg_train.momentum};
    t->optimizer = mg_optimizer_create(&options);
    if (mg_train.ema > 0) t->ema = mg_ema_create(mg_train.ema);
    if (!t->optimizer || (mg_train.ema > 0 && !t->ema))
        return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    for (int k = 0; k < t->net->parameters; k++) {
        mg_parameter_info *p = &t->net->parameter[k];
        mg_optimizer_add(t->optimizer, t->ctx, p->tensor, 0);
        bool moves = p->stage >= t->net->options.first_trained;
        if (t->ema && moves) mg_ema_add(t->ema, t->ctx, p->tensor);
    }
    t->state = (mg_run_state){.best_loss = INFINITY,
                              .lr = mg_train.lr,
                              .plateau = mg_plateau_init(),
                              .stop = mg_early_stop_init()};
    t->state.plateau.factor = mg_train.plateau_factor;
    t->state.plateau.patience = (int)mg_train.plateau_patience;
    t->state.plateau.min_lr = mg_train.min_lr;
    t->state.stop.patience = (int)mg_train.patience;
    t->state.stop.min_delta = mg_train.min_delta;
    return t->ctx->error.code ? mg_fail(err, t->ctx->error.code, "%s", t->ctx->error.message)
                              : MG_OK;
}

/* Draws depend on seed and epoch alone, so the largest batch of the run is known beforehand. */
static mg_status largest_batch(const mg_trainer *t, int32_t *largest, mg_error *err) {
    mg_status s = MG_OK;
    *largest = 0;
    for (int64_t epoch = 0; epoch < mg_train.epochs && !s; epoch++) {
        mg_plan plan = {0};
        s = mg_trainer_plan_epoch(t, epoch, &plan, err);
        for (int32_t b = 0; b < plan.batch_count && !s; b++)
            if (plan.first[b + 1] - plan.first[b] > *largest)
                *largest = plan.first[b + 1] - plan.first[b];
        mg_plan_free(&plan);
    }
    return s;
}

/* The largest step there can be, without running it: its peak memory. */
static mg_status check_memory(mg_trainer *t, mg_error *err) {
    int32_t largest;
    mg_status s = largest_batch(t, &largest, err);
    if (s || !largest) return s;
    int32_t *images = calloc((size_t)largest, sizeof *images);
    if (!images) return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    mg_batch batch = {.count = largest, .image = images};
    t->ctx->dry_run = true;
    s = mg_trainer_step(t, &batch, err);
    t->ctx->dry_run = false;
    free(images);
    if (s) return s;
    char report[400];
    mg_memory_report(t->ctx, report, sizeof report);
    mg_trainer_say(t, "memory for a batch of %d images: %s", largest, report);
    double physical = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    double limit = mg_train.memory_limit > 0 ? mg_train.memory_limit * 1073741824.0 : physical;
    if (t->ctx->memory) { /* parameters lie in both memories: the step's arena is the device's */
        size_t unused = 0, total = 0;
        t->ctx->memory->room(&unused, &total);
        physical = (double)unused;
        if (!(mg_train.memory_limit > 0)) limit = physical;
    }
    double need = (double)(mg_arena_peak(t->ctx->model) + mg_arena_peak(t->ctx->step));
    if (need > limit)
        return mg_fail(
            err, MG_ERR_MEMORY,
            "the run needs %.1f GiB of the %.1f GiB there are; use "
            "--accumulate, a smaller --batch or --height/--width, or a higher --unfreeze",
            need / 1073741824.0, limit / 1073741824.0);
    return MG_OK;
}

static void set_augmentation(mg_trainer *t) {
    t->augment = mg_augment_defaults();
    t->augment.rotation = (float)mg_train.rotation;
    t->augment.translation = (float)mg_train.translation;
    t->augment.scale_low = (float)mg_train.scale_low;
    t->augment.shear = (float)mg_train.shear;
    t->augment.contrast = (float)mg_train.contrast;
    t->augment.brightness = (float)mg_train.brightness;
    t->augment.gamma = (float)mg_train.gamma;
}

static mg_status open_cache(mg_trainer *t, mg_error *err) {
    mg_cache_options options = {.full_content = mg_train.full_content};
    if (!mg_train.cache) return MG_OK;
    t->cache = mg_cache_open(mg_train.cache, &t->card.input, &options, err);
    return t->cache ? MG_OK : err->code;
}

/* Threads and device. */
static mg_status open_machine(mg_trainer *t, bool *bf16, mg_error *err) {
    t->pool = mg_pool_create((int)mg_train.threads);
    mg_device device;
    const mg_device_plugin *plugin;
    mg_status s = mg_device_open(mg_train.device, &device, &plugin, err);
    if (s) return s;
    t->ctx = t->pool ? mg_context_create(device, MG_F32, t->pool, 0) : NULL;
    if (!t->ctx) return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    mg_context_use(t->ctx, device, plugin);
    s = mg_preprocess_choose(mg_train.preprocess, plugin, &t->preprocess, err);
    if (s) return s;
    int precision = strcmp(mg_train.precision, "bf16") == 0 ? 2 : mg_train.precision[0] == 't';
    if (precision == 1 && !plugin)
        return mg_fail(err, MG_ERR_ARG,
                       "--precision tf32 is for --device cuda: the CPU knows f32 and bf16");
    if (plugin) {
        plugin->gemm_precision(precision);
        char text[200];
        plugin->describe(text, sizeof text);
        mg_trainer_say(t, "device: %s", text);
    }
    *bf16 = precision == 2 && !plugin;
    t->ctx->seed = (uint64_t)mg_train.seed;
    mg_train.threads = mg_pool_threads(t->pool);
    return MG_OK;
}

mg_status mg_trainer_create(mg_trainer *t, mg_error *err) {
    *t = (mg_trainer){.lock = -1};
    bool bf16 = false;
    mg_status s = mg_trainer_enter_folder(t, err);
    if (!s) s = fill_card(t, err);
    if (!s) s = mg_trainer_open_data(t, err);
    if (!s) s = open_cache(t, err);
    if (s) return s;
    if (!mg_train.no_augment) set_augmentation(t);
    mg_train_options_hash(t->config_hash);
    mg_trainer_data_hash(t, t->data_hash);
    s = open_machine(t, &bf16, err);
    if (!s) s = create_network(t, err);
    if (!s) s = create_optimizer(t, err);
    if (!s) t->net->bf16 = bf16;
    if (!s) mg_efficientnet_fold(t->ctx, t->net, 0, MG_STAGE_CLASSIFIER);
    if (!s) s = check_memory(t, err);
    if (!s && mg_train.resume && mg_is_file(mg_trainer_path("last.safetensors")))
        s = mg_trainer_restore(t, mg_trainer_path("last.safetensors"), err);
    if (!s && !mg_train.find_lr) s = mg_trainer_take_folder(t, err);
    return s;
}

void mg_trainer_destroy(mg_trainer *t) {
    if (t->late.device) t->ctx->memory->free(t->late.device);
    free(t->late.images);
    mg_ema_destroy(t->ema);
    mg_optimizer_destroy(t->optimizer);
    mg_efficientnet_destroy(t->net);
    mg_context_destroy(t->ctx);
    mg_pool_destroy(t->pool);
    if (t->cache) mg_cache_close(t->cache);
    mg_preprocess_device_destroy(t->preprocess);
    mg_plan_free(&t->validation_plan);
    for (int side = 0; side < 2; side++) free(t->groups[side]);
    mg_split_free(&t->split);
    mg_manifest_free(&t->manifest);
    mg_trainer_leave_folder(t);
    *t = (mg_trainer){0};
}
