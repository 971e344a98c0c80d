/* trainer_state.c: the run's state on disk.
 *
 * last.safetensors holds the network, the optimizer's moments, the moving average and, in its
 * metadata, mg_run_state. It is replaced in one step, after metrics.csv got its row and best was
 * written; whatever a kill interrupts is done again, to the same bytes, by the resumed run. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "apps/lib/trainer.h"
#include "tensor/json.h"

static void write_real(mg_json_writer *w, const char *key, double value) {
    mg_json_key(w, key);
    if (isfinite(value)) mg_json_real(w, value);
    else mg_json_null(w); /* infinity: nothing reached yet */
}

static char *state_to_json(const mg_trainer *t, mg_error *err) {
    const mg_run_state *s = &t->state;
    mg_json_writer *w = mg_json_writer_create(0);
    mg_json_begin_object(w);
    mg_json_key(w, "config_hash"), mg_json_string(w, t->config_hash);
    mg_json_key(w, "data_hash"), mg_json_string(w, t->data_hash);
    mg_json_key(w, "epoch"), mg_json_integer(w, s->epoch);
    mg_json_key(w, "next_batch"), mg_json_integer(w, s->next_batch);
    mg_json_key(w, "step"), mg_json_integer(w, s->step);
    mg_json_key(w, "images"), mg_json_integer(w, s->images);
    mg_json_key(w, "bad"), mg_json_integer(w, s->bad);
    mg_json_key(w, "best_epoch"), mg_json_integer(w, s->best_epoch);
    mg_json_key(w, "plateau_bad"), mg_json_integer(w, s->plateau.bad_epochs);
    mg_json_key(w, "plateau_cooling"), mg_json_integer(w, s->plateau.cooling);
    mg_json_key(w, "stop_waited"), mg_json_integer(w, s->stop.waited);
    mg_json_key(w, "stop_started"), mg_json_bool(w, s->stop.started);
    mg_json_key(w, "finished"), mg_json_bool(w, s->finished);
    mg_json_key(w, "stop_reason"), mg_json_string(w, t->stop_reason);
    mg_json_key(w, "optimizer_steps"), mg_json_integer(w, t->optimizer->steps);
    mg_json_key(w, "ema_steps"), mg_json_integer(w, t->ema ? *mg_ema_steps(t->ema) : 0);
    write_real(w, "loss_sum", s->loss_sum);
    write_real(w, "best_loss", s->best_loss);
    write_real(w, "lr", s->lr);
    write_real(w, "plateau_best", s->plateau.best);
    write_real(w, "stop_reference", s->stop.reference);
    mg_json_end(w);
    return mg_json_writer_finish(w, NULL, err);
}

static double read_real(const mg_json *root, const char *key) {
    double value = INFINITY;
    mg_json_get_real(root, key, &value);
    return value;
}

static int64_t read_integer(const mg_json *root, const char *key) {
    int64_t value = 0;
    mg_json_get_integer(root, key, &value);
    return value;
}

static void state_from_json(mg_trainer *t, const mg_json *root) {
    mg_run_state *s = &t->state;
    s->epoch = read_integer(root, "epoch");
    s->next_batch = read_integer(root, "next_batch");
    s->step = read_integer(root, "step");
    s->images = read_integer(root, "images");
    s->bad = read_integer(root, "bad");
    s->best_epoch = read_integer(root, "best_epoch");
    s->plateau.bad_epochs = (int)read_integer(root, "plateau_bad");
    s->plateau.cooling = (int)read_integer(root, "plateau_cooling");
    s->stop.waited = (int)read_integer(root, "stop_waited");
    mg_json_get_bool(root, "stop_started", &s->stop.started);
    mg_json_get_bool(root, "finished", &s->finished);
    const char *reason = mg_json_get_string(root, "stop_reason");
    snprintf(t->stop_reason, sizeof t->stop_reason, "%s", reason ? reason : "");
    t->optimizer->steps = read_integer(root, "optimizer_steps");
    if (t->ema) *mg_ema_steps(t->ema) = read_integer(root, "ema_steps");
    s->loss_sum = read_real(root, "loss_sum");
    s->best_loss = read_real(root, "best_loss");
    s->lr = read_real(root, "lr");
    s->plateau.best = read_real(root, "plateau_best");
    s->stop.reference = read_real(root, "stop_reference");
    if (!s->stop.started) s->stop.reference = 0;
}

/* Optimizer and moving-average tensors with their names. */
typedef struct extras {
    mg_tensor **tensor;
    const char **name;
    char (*text)[80];
    int count;
} extras;

static void extras_free(extras *e) {
    free(e->tensor);
    free(e->name);
    free(e->text);
}

static mg_status extras_list(const mg_trainer *t, extras *e, mg_error *err) {
    int averages = t->ema ? mg_ema_count(t->ema) : 0;
    size_t room = (size_t)(2 * t->optimizer->entries + averages + 1);
    *e = (extras){calloc(room, sizeof *e->tensor), calloc(room, sizeof *e->name),
                  calloc(room, sizeof *e->text), 0};
    if (!e->tensor || !e->name || !e->text) return mg_fail(err, MG_ERR_MEMORY, "out of memory");
    for (int i = 0; i < t->optimizer->entries; i++) {
        const mg_optimizer_entry *o = &t->optimizer->entry[i];
        if (o->first) e->tensor[e->count] = o->first, e->name[e->count++] = o->first_name;
        if (o->second) e->tensor[e->count] = o->second, e->name[e->count++] = o->second_name;
    }
    for (int i = 0; i < averages; i++) {
        snprintf(e->text[i], sizeof *e->text, "moving_average.%d", i);
        e->tensor[e->count] = mg_ema_shadow(t->ema, i);
        e->name[e->count++] = e->text[i];
    }
    return MG_OK;
}

mg_status mg_trainer_save_last(mg_trainer *t, mg_error *err) {
    mg_context_to_host(t->ctx);
    char *card = mg_card_to_json(&t->card, err), *state = state_to_json(t, err);
    extras e = {0};
    mg_status s = card && state ? extras_list(t, &e, err) : err->code;
    mg_metadata_entry metadata[] = {{"mammograd", card}, {"mammograd_run", state}};
    if (!s)
        s = mg_state_save(mg_trainer_path("last.safetensors"), t->net, e.tensor, e.name, e.count,
                          metadata, 2, err);
    extras_free(&e);
    free(card);
    free(state);
    return s;
}

mg_status mg_trainer_save_best(mg_trainer *t, mg_error *err) {
    mg_context_to_host(t->ctx);
    char *card = mg_card_to_json(&t->card, err);
    mg_metadata_entry metadata = {"mammograd", card};
    mg_status s = card ? mg_state_save(mg_trainer_path("best.safetensors"), t->net, NULL, NULL, 0,
                                       &metadata, 1, err)
                       : err->code;
    free(card);
    return s;
}

static mg_status load_network(mg_trainer *t, const mg_weights *file, mg_error *err) {
    mg_key_import import;
    mg_status s = mg_state_probe(file, &t->net->arch, 3, 1, MG_KEYS_TORCHVISION, &import, err);
    if (s) return s;
    mg_context_to_host(t->ctx);
    s = mg_state_load(t->net, &import, err);
    mg_key_import_free(&import);
    mg_efficientnet_fold(t->ctx, t->net, 0, MG_STAGE_CLASSIFIER);
    return s;
}

/* Weights belong to the options and the data they were trained with. Older versions kept no
 * hashes. */
static mg_status check_hashes(const mg_trainer *t, const mg_json *root, mg_error *err) {
    const char *config = mg_json_get_string(root, "config_hash");
    const char *data = mg_json_get_string(root, "data_hash");
    if (config && strcmp(config, t->config_hash) != 0)
        return mg_fail(err, MG_ERR_ARG,
                       "%s: last.safetensors is of a run with other options than config.json says; "
                       "put back the config.json it began with, or start anew with --overwrite",
                       mg_train.out);
    if (data && strcmp(data, t->data_hash) != 0)
        return mg_fail(err, MG_ERR_ARG,
                       "the data in %s are not those that %s began with: ids, labels, files or "
                       "split.csv were changed; put them back as they were, or start a new run "
                       "(another --out, or --overwrite)",
                       mg_train.data, mg_train.out);
    return MG_OK;
}

/* The loss in the file's own card: best_loss may be one of training. */
static mg_status read_card(mg_trainer *t, const mg_weights *file, mg_error *err) {
    const char *text = mg_weights_metadata(file, "mammograd");
    mg_card card;
    mg_status s = text ? mg_card_from_json(text, &card, err) : MG_OK;
    if (s || !text) return s;
    t->card.best_epoch = card.best_epoch;
    t->card.validation_loss = card.validation_loss;
    return MG_OK;
}

mg_status mg_trainer_load_best(mg_trainer *t, mg_error *err) {
    mg_weights *file = mg_weights_open(mg_trainer_path("best.safetensors"), err);
    if (!file) return err->code;
    t->net->bf16 = false; /* what is reported is what apps/predict will say */
    mg_status s = load_network(t, file, err);
    if (!s) s = read_card(t, file, err);
    mg_weights_close(file);
    return s;
}

mg_status mg_trainer_restore(mg_trainer *t, const char *path, mg_error *err) {
    mg_weights *file = mg_weights_open(path, err);
    if (!file) return err->code;
    const char *text = mg_weights_metadata(file, "mammograd_run");
    mg_json_document *document = text ? mg_json_parse(text, strlen(text), err) : NULL;
    mg_status s = document ? check_hashes(t, mg_json_root(document), err)
                           : mg_fail(err, MG_ERR_FORMAT, "%s holds no run to resume", path);
    if (!s) s = load_network(t, file, err);
    if (!s) s = read_card(t, file, err);
    extras e = {0};
    if (!s) s = extras_list(t, &e, err);
    for (int i = 0; i < e.count && !s; i++)
        s = mg_state_load_extra(file, e.name[i], e.tensor[i], err);
    if (!s) {
        state_from_json(t, mg_json_root(document));
        mg_trainer_say(t, "resumed %s: epoch %lld, batch %lld, step %lld", mg_train.out,
                       (long long)t->state.epoch + 1, (long long)t->state.next_batch,
                       (long long)t->state.step);
    }
    extras_free(&e);
    mg_json_free(document);
    mg_weights_close(file);
    return s;
}
