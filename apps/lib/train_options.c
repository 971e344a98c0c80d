#include "apps/lib/train_options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/lib/preprocess_choice.h"
#include "data/files.h"
#include "dicom/writer.h"
#include "tensor/json.h"

enum { MOST_DRAWS = 10000000 };

mg_train_options mg_train = {
    .validation_fraction = 0.15,
    .height = 955,
    .width = 500,
    .window = "seed",
    .crop = "breast",
    .margin = 0.01,
    .j2k_reduce = "off",
    .device = "cpu",
    .precision = "f32",
    .preprocess = "auto",
    .arch = "b4",
    .pretrained_format = "auto",
    .unfreeze = 7,
    .dropout = -1,
    .stochastic_depth = -1,
    .epochs = 50,
    .batch_ids = 8,
    .accumulate = 1,
    .seed = 1,
    .epoch_draws = "256",
    .optimizer = "adam",
    .lr = 1e-3,
    .momentum = 0.9,
    .plateau_factor = 0.1,
    .min_lr = 1e-6,
    .patience = 8,
    .min_delta = 0.01,
    .rotation = 30,
    .translation = 0.1,
    .scale_low = 0.75,
    .shear = 15,
    .aggregation = "seed",
    .bootstrap = 2000,
};

#define T(field) &mg_train.field
static const mg_cli_option options[] = {
    {"data", 'd', MG_CLI_STRING, T(data), "DIR", NULL, "data set: train.csv and train_images/", 0,
     0},
    {"out", 'o', MG_CLI_STRING, T(out), "RUN", NULL, "folder for everything the run writes", 0, 0},
    {"csv", 0, MG_CLI_STRING, T(csv), "FILE", "train.csv", "table of images, in the data folder", 0,
     0},
    {"images", 0, MG_CLI_STRING, T(images), "DIR", "found by the table's name",
     "folder of the images that the table names", 0, 0},
    {"cache", 0, MG_CLI_STRING, T(cache), "DIR", "none",
     "keep prepared images here (apps/preprocess fills it too)", 0, 0},
    {"full-content", 0, MG_CLI_FLAG, T(full_content), NULL, NULL,
     "recognise cached images by all their bytes (as apps/preprocess --full-content)", 0, 0},
    {"split", 0, MG_CLI_STRING, T(split), "FILE", "made by --seed", "use this split.csv", 0, 0},
    {"validation", 0, MG_CLI_FLOAT, T(validation_fraction), "F", "0.15",
     "share of the patients kept for validation", 0, 0.9},
    {"height", 0, MG_CLI_INT, T(height), "N", "955", "rows of the network's input", 32, 8192},
    {"width", 0, MG_CLI_INT, T(width), "N", "500", "columns of the network's input", 32, 8192},
    {"window", 0, MG_CLI_CHOICE, T(window), "seed|dicom|none", "seed",
     "grey window: centre +- width, DICOM's functions, or none", 0, 0},
    {"crop", 0, MG_CLI_CHOICE, T(crop), "breast|zero|none", "breast",
     "background: find the breast, drop zero rows and columns, keep", 0, 0},
    {"margin", 0, MG_CLI_FLOAT, T(margin), "F", "0.01",
     "kept around the breast, as a share of its length", 0, 1},
    {"j2k-reduce", 0, MG_CLI_STRING, T(j2k_reduce), "auto|off|N", "off",
     "decode JPEG 2000 at 1/2^N of its resolution; auto: what the network needs", 0, 0},
    {"imagenet-norm", 0, MG_CLI_FLAG, T(imagenet_norm), NULL, NULL,
     "normalise with ImageNet's mean and deviation", 0, 0},
    {"arch", 'a', MG_CLI_STRING, T(arch), "NAME", "b4",
     "b0 ... b7, or pico (a small relative of b0)", 0, 0},
    {"pretrained", 'p', MG_CLI_STRING, T(pretrained), "FILE", "random weights",
     "start from .safetensors or .pth weights", 0, 0},
    {"pretrained-format", 0, MG_CLI_CHOICE, T(pretrained_format),
     "auto|torchvision|timm|timm-tf|lukemelas|monai", "auto",
     "whose names and conventions the file has", 0, 0},
    {"unfreeze", 0, MG_CLI_INT, T(unfreeze), "N", "7 with --pretrained, else 0",
     "train stages N and up (0 all, 9 the classifier alone)", 0, 9},
    {"dropout", 0, MG_CLI_FLOAT, T(dropout), "P", "the architecture's",
     "dropout before the classifier", -1, 0.99},
    {"stochastic-depth", 0, MG_CLI_FLOAT, T(stochastic_depth), "P", "0.2",
     "drop probability of the last block", -1, 0.99},
    {"epochs", 'e', MG_CLI_INT, T(epochs), "N", "50",
     "stop after so many epochs (may be changed when resuming)", 1, 100000},
    {"batch", 'b', MG_CLI_INT, T(batch_ids), "N", "8",
     "prediction ids (breasts) per step, all their images", 1, 4096},
    {"accumulate", 0, MG_CLI_INT, T(accumulate), "N", "1",
     "split each batch into N parts to save memory", 1, 4096},
    {"epoch-draws", 0, MG_CLI_STRING, T(epoch_draws), "N|all", "256",
     "prediction ids drawn per epoch", 0, 0},
    {"optimizer", 0, MG_CLI_CHOICE, T(optimizer), "adam|adamw|sgd", "adam",
     "how weights are updated", 0, 0},
    {"lr", 'l', MG_CLI_FLOAT, T(lr), "X", "0.001", "learning rate to begin with", 0, 1000},
    {"weight-decay", 0, MG_CLI_FLOAT, T(weight_decay), "X", "0", "weight decay", 0, 10},
    {"momentum", 0, MG_CLI_FLOAT, T(momentum), "X", "0.9", "momentum of sgd", 0, 0.9999},
    {"clip", 0, MG_CLI_FLOAT, T(clip), "X", "off", "clip the gradient's norm", 0, 1e9},
    {"ema", 0, MG_CLI_FLOAT, T(ema), "D", "off",
     "evaluate a moving average of the weights with this decay", 0, 0.99999},
    {"class-weight", 0, MG_CLI_FLAG, T(class_weight), NULL, NULL,
     "weigh the loss by class instead of drawing classes equally", 0, 0},
    {"plateau-factor", 0, MG_CLI_FLOAT, T(plateau_factor), "X", "0.1",
     "multiply the learning rate by this on a plateau", 0.001, 1},
    {"plateau-patience", 0, MG_CLI_INT, T(plateau_patience), "N", "0",
     "epochs without improvement before that", 0, 1000},
    {"min-lr", 0, MG_CLI_FLOAT, T(min_lr), "X", "1e-06", "lowest learning rate", 0, 1},
    {"patience", 0, MG_CLI_INT, T(patience), "N", "8",
     "stop after N epochs without improvement by --min-delta", 1, 100000},
    {"min-delta", 0, MG_CLI_FLOAT, T(min_delta), "X", "0.01",
     "improvement of the validation loss that counts", 0, 100},
    {"no-augment", 0, MG_CLI_FLAG, T(no_augment), NULL, NULL, "train on the images as they are", 0,
     0},
    {"rotation", 0, MG_CLI_FLOAT, T(rotation), "DEG", "30", "augmentation: rotate up to +-", 0,
     180},
    {"translation", 0, MG_CLI_FLOAT, T(translation), "F", "0.1",
     "augmentation: shift up to +- of the size", 0, 1},
    {"scale", 0, MG_CLI_FLOAT, T(scale_low), "F", "0.75", "augmentation: scale between this and 1",
     0.1, 1},
    {"shear", 0, MG_CLI_FLOAT, T(shear), "DEG", "15", "augmentation: shear up to +-", 0, 60},
    {"contrast", 0, MG_CLI_FLOAT, T(contrast), "F", "0", "augmentation: contrast 1 +-", 0, 1},
    {"brightness", 0, MG_CLI_FLOAT, T(brightness), "F", "0", "augmentation: brightness +-", 0, 1},
    {"gamma", 0, MG_CLI_FLOAT, T(gamma), "F", "0", "augmentation: exponent e^(+-)", 0, 2},
    {"aggregation", 0, MG_CLI_CHOICE, T(aggregation), "seed|mean|max|noisy-or", "seed",
     "from image to breast", 0, 0},
    {"seed", 's', MG_CLI_INT, T(seed), "N", "1", "of every random draw", 0, 9e15},
    {"bootstrap", 0, MG_CLI_INT, T(bootstrap), "N", "2000",
     "resamples for the report's intervals, 0 none", 0, 100000},
    {"device", 0, MG_CLI_STRING, T(device), "cpu|cuda[:N]|simt", "cpu",
     "where the network runs (simt: the CUDA kernels in their emulator)", 0, 0},
    {"precision", 0, MG_CLI_CHOICE, T(precision), "f32|tf32|bf16", "f32",
     "of matrix products: on a GPU of all, on the CPU (f32, bf16) of frozen stages and validation "
     "(with AMX of all)",
     0, 0},
    MG_PREPROCESS_OPTION(T(preprocess)),
    {"threads", 't', MG_CLI_INT, T(threads), "N", "all cores", "threads of the network", 0, 256},
    {"workers", 0, MG_CLI_INT, T(workers), "N", "as threads",
     "threads that read and prepare images", 0, 256},
    {"memory", 0, MG_CLI_FLOAT, T(memory_limit), "GIB", "no limit", "refuse to need more than this",
     0, 1e6},
    {"checkpoint-steps", 0, MG_CLI_INT, T(checkpoint_steps), "N", "at epochs",
     "also save the run's state every N steps", 0, 1e9},
    {"resume", 'r', MG_CLI_FLAG, T(resume), NULL, NULL, "go on with the run in --out, bit for bit",
     0, 0},
    {"overwrite", 0, MG_CLI_FLAG, T(overwrite), NULL, NULL,
     "start afresh in a folder that holds a run", 0, 0},
    {"find-lr", 0, MG_CLI_FLAG, T(find_lr), NULL, NULL,
     "learning-rate range test: print the curve and a suggestion", 0, 0},
    {"strict", 0, MG_CLI_FLAG, T(strict), NULL, NULL, "stop at the first image that cannot be read",
     0, 0},
    {"no-report", 0, MG_CLI_FLAG, T(no_report), NULL, NULL,
     "skip the final evaluation and report.html", 0, 0},
};

static const mg_cli_program program = {
    .name = "train",
    .summary = "Fine-tune EfficientNet on screening mammograms",
    .usage = "--data DIR --out RUN [OPTION]...",
    .description =
        "RUN receives config.json, split.csv, metrics.csv, train.log, TensorBoard events,\n"
        "best.safetensors, last.safetensors, report.html and plots. Ctrl-C finishes the step,\n"
        "saves and ends; --resume goes on bit for bit. --find-lr writes nothing.\n"
        "Exit status: 0 done, 1 failed, 2 wrong usage.",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .most_arguments = 0,
};

const mg_cli_program *mg_train_program(void) { return &program; }

/* Options of the run's conduct rather than of its result: not taken from config.json, and free to
 * differ when resuming. */
static bool is_conduct(const char *name) {
    static const char *const names[] = {
        "out",       "threads", "workers",    "memory",           "epochs",
        "resume",    "find-lr", "no-report",  "checkpoint-steps", "cache",
        "overwrite", "device",  "preprocess", "full-content"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

mg_status mg_train_options_save(const char *path, mg_error *err) {
    mg_json_writer *w = mg_json_writer_create(2);
    mg_json_begin_object(w);
    mg_json_key(w, "mammograd"), mg_json_string(w, MG_VERSION);
    for (size_t i = 0; i < program.option_count; i++) {
        const mg_cli_option *o = &options[i];
        if (is_conduct(o->name) && strcmp(o->name, "epochs") != 0) continue;
        mg_json_key(w, o->name);
        const char *text = o->kind >= MG_CLI_STRING ? *(const char *const *)o->target : NULL;
        if (o->kind == MG_CLI_FLAG) mg_json_bool(w, *(const bool *)o->target);
        else if (o->kind == MG_CLI_INT) mg_json_integer(w, *(const int64_t *)o->target);
        else if (o->kind == MG_CLI_FLOAT) mg_json_real(w, *(const double *)o->target);
        else if (text) mg_json_string(w, text);
        else mg_json_null(w);
    }
    mg_json_end(w);
    size_t length = 0;
    char *text = mg_json_writer_finish(w, &length, err);
    if (!text) return err->code;
    mg_status s = mg_file_write(path, text, length, err);
    free(text);
    return s;
}

/* Texts from config.json live as long as the program, also those a given option replaces. */
static char *kept[sizeof options / sizeof options[0]];
static size_t kept_count;

static void take(const mg_cli_option *o, const mg_json *value) {
    switch (o->kind) {
    case MG_CLI_FLAG: *(bool *)o->target = value->type == MG_JSON_TRUE; break;
    case MG_CLI_INT:
        if (value->type == MG_JSON_INTEGER) *(int64_t *)o->target = value->integer;
        break;
    case MG_CLI_FLOAT:
        if (value->type == MG_JSON_REAL) *(double *)o->target = value->real;
        if (value->type == MG_JSON_INTEGER) *(double *)o->target = (double)value->integer;
        break;
    default:
        if (value->type != MG_JSON_STRING) break;
        kept[kept_count] = strdup(value->string);
        if (kept[kept_count]) *(const char **)o->target = kept[kept_count++];
    }
}

static mg_status load_config(const char *run, mg_error *err) {
    char *path = mg_path_join(run, "config.json");
    uint8_t *text = NULL;
    size_t size = 0;
    mg_status s = path ? mg_file_read(path, 1 << 20, &text, &size, err) : MG_ERR_MEMORY;
    mg_json_document *document = s ? NULL : mg_json_parse((const char *)text, size, err);
    if (!s && !document) s = err->code;
    for (size_t i = 0; i < program.option_count && !s; i++) {
        const mg_json *value = mg_json_get(mg_json_root(document), options[i].name);
        if (value && (!is_conduct(options[i].name) || strcmp(options[i].name, "epochs") == 0))
            take(&options[i], value);
    }
    mg_json_free(document);
    free(text);
    free(path);
    return s;
}

/* Of option o within a. */
static const void *value_in(const mg_cli_option *o, const mg_train_options *a) {
    return (const char *)a + ((const char *)o->target - (const char *)&mg_train);
}

static bool same_value(const mg_cli_option *o, const mg_train_options *a,
                       const mg_train_options *b) {
    const void *x = value_in(o, a), *y = value_in(o, b);
    if (o->kind == MG_CLI_FLAG) return *(const bool *)x == *(const bool *)y;
    if (o->kind == MG_CLI_INT) return *(const int64_t *)x == *(const int64_t *)y;
    if (o->kind == MG_CLI_FLOAT)
        return !(*(const double *)x < *(const double *)y ||
                 *(const double *)x > *(const double *)y);
    const char *s = *(const char *const *)x, *t = *(const char *const *)y;
    return s == t || (s && t && strcmp(s, t) == 0);
}

static mg_train_options defaults; /* before any option was read */

void mg_train_options_hash(char out[MG_HASH_TEXT]) {
    static const char *const left_out[] = {"data", "csv", "images", "split"};
    mg_dicom_sha256 hash;
    mg_dicom_sha256_begin(&hash);
    for (size_t i = 0; i < program.option_count; i++) {
        const mg_cli_option *o = &options[i];
        bool counts = !is_conduct(o->name) && !same_value(o, &mg_train, &defaults);
        for (size_t k = 0; k < sizeof left_out / sizeof *left_out; k++)
            if (strcmp(o->name, left_out[k]) == 0) counts = false;
        if (!counts) continue;
        char number[64] = "yes";
        const char *text = number;
        if (o->kind == MG_CLI_INT)
            snprintf(number, sizeof number, "%lld", (long long)*(const int64_t *)o->target);
        else if (o->kind == MG_CLI_FLOAT)
            snprintf(number, sizeof number, "%.17g", *(const double *)o->target);
        else if (o->kind >= MG_CLI_STRING) text = *(const char *const *)o->target;
        mg_dicom_sha256_add(&hash, o->name, strlen(o->name) + 1);
        mg_dicom_sha256_add(&hash, text ? text : "", strlen(text ? text : "") + 1);
    }
    uint8_t digest[32];
    mg_dicom_sha256_end(&hash, digest);
    for (int i = 0; i < 16; i++) snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* What config.json says, and the command line over it; they must agree. MG_CLI_RUN or the exit
 * code. */
static int parse_resumed(const char *run, int *argc, char ***argv) {
    mg_error err = {0};
    if (load_config(run, &err)) {
        fprintf(stderr,
                "train: cannot resume %s: %s\nA run that has not begun to train is started "
                "without --resume.\n",
                run, err.message);
        return MG_EXIT_FAILED;
    }
    mg_train.config_epochs = mg_train.epochs;
    mg_train_options config = mg_train;
    int code = mg_cli_parse(&program, argc, argv);
    if (code != MG_CLI_RUN) return code;
    for (size_t i = 0; i < program.option_count; i++)
        if (!is_conduct(options[i].name) && !same_value(&options[i], &mg_train, &config))
            return mg_cli_usage_error(&program,
                                      "--%s differs from the run that is resumed; leave it "
                                      "out, or start a new run",
                                      options[i].name);
    return MG_CLI_RUN;
}

int mg_train_options_parse(int *argc, char ***argv) {
    defaults = mg_train;
    mg_train.unfreeze = -1;
    /* The parser itself finds out whether a run is resumed, however the options are written; then
     * they are laid over that run's. */
    int count = *argc;
    char **words = *argv;
    int code = mg_cli_parse(&program, &count, &words);
    if (code != MG_CLI_RUN) return code;
    if (mg_train.resume && mg_train.overwrite)
        return mg_cli_usage_error(&program, "--resume and --overwrite do not go together");
    if (mg_train.resume && mg_train.out) {
        const char *run = mg_train.out;
        mg_train = defaults;
        code = parse_resumed(run, argc, argv);
        if (code != MG_CLI_RUN) return code;
    } else {
        *argc = count;
        *argv = words;
    }
    if (!mg_train.data || !mg_train.out)
        return mg_cli_usage_error(&program, "--data and --out are needed");
    if (mg_train.unfreeze < 0) mg_train.unfreeze = mg_train.pretrained ? 7 : 0;
    mg_train.draws = 0;
    if (strcmp(mg_train.epoch_draws, "all") != 0 &&
        !mg_cli_whole(mg_train.epoch_draws, 1, MOST_DRAWS, &mg_train.draws))
        return mg_cli_usage_error(&program,
                                  "--epoch-draws: '%s' is neither a whole number from 1 to %d nor "
                                  "all",
                                  mg_train.epoch_draws, MOST_DRAWS);
    return MG_CLI_RUN;
}
