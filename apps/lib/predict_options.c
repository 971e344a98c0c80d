#include "apps/lib/predictor.h"

mg_predict_options mg_predict = {.device = "cpu",
                                 .precision = "f32",
                                 .preprocess = "auto",
                                 .out = "predictions",
                                 .flips = "none",
                                 .threshold = -1,
                                 .prevalence = -1,
                                 .bootstrap = 2000};

#define T(field) &mg_predict.field
static const mg_cli_option options[] = {
    {"model", 'm', MG_CLI_LIST, T(model), "FILE", NULL,
     "checkpoint from apps/train; given up to 16 times: an ensemble", 0, 0},
    {"out", 'o', MG_CLI_STRING, T(out), "DIR", "predictions",
     "where tables, overlays and report go", 0, 0},
    {"csv", 0, MG_CLI_STRING, T(csv), "FILE", NULL,
     "table of images (test.csv or train.csv) instead of files", 0, 0},
    {"data", 'd', MG_CLI_STRING, T(data), "DIR", "the table's folder",
     "data set that --csv belongs to", 0, 0},
    {"cam", 'c', MG_CLI_FLAG, T(cam), NULL, NULL, "write a class activation map over every image",
     0, 0},
    {"overlay-side", 0, MG_CLI_INT, T(overlay_side), "N", "the original's",
     "longest side of the overlays", 64, 16384},
    {"images", 0, MG_CLI_STRING, T(images), "DIR", "found by the table's name",
     "folder of the images that --csv names", 0, 0},
    {"aggregation", 0, MG_CLI_CHOICE, T(aggregation), "seed|mean|max|noisy-or", "the model's",
     "from image to breast", 0, 0},
    {"threshold", 0, MG_CLI_FLOAT, T(threshold), "P", "the model's",
     "flag images, breasts and patients at this probability", 0, 1},
    {"prevalence", 0, MG_CLI_FLOAT, T(prevalence), "P", "the training data's",
     "share of breasts with cancer, for calibrated probabilities", 1e-6, 0.999999},
    {"flips", 0, MG_CLI_CHOICE, T(flips), "none|horizontal|all", "none",
     "average over mirrored images", 0, 0},
    {"window", 0, MG_CLI_CHOICE, T(window), "seed|dicom|none", "the model's",
     "must agree with the model", 0, 0},
    {"crop", 0, MG_CLI_CHOICE, T(crop), "breast|zero|none", "the model's",
     "must agree with the model", 0, 0},
    {"j2k-reduce", 0, MG_CLI_STRING, T(j2k_reduce), "auto|off|N", "the model's",
     "must agree with the model", 0, 0},
    {"cache", 0, MG_CLI_STRING, T(cache), "DIR", "none", "keep prepared images here", 0, 0},
    {"full-content", 0, MG_CLI_FLAG, T(full_content), NULL, NULL,
     "recognise cached images by all their bytes (as apps/preprocess --full-content)", 0, 0},
    {"trace", 0, MG_CLI_STRING, T(trace), "DIR", NULL,
     "write every stage of every image as .safetensors", 0, 0},
    {"dicom-out", 0, MG_CLI_STRING, T(dicom_out), "DIR", NULL,
     "write overlays and findings as DICOM (SC and SR)", 0, 0},
    {"bootstrap", 0, MG_CLI_INT, T(bootstrap), "N", "2000",
     "resamples for intervals where labels are known, 0 none", 0, 100000},
    {"device", 0, MG_CLI_STRING, T(device), "cpu|cuda[:N]|simt", "cpu",
     "where the network runs (simt: the CUDA kernels in their emulator)", 0, 0},
    {"precision", 0, MG_CLI_CHOICE, T(precision), "f32|bf16", "f32",
     "of the network's products on the CPU (bf16: faster, rounding moves logits a little)", 0, 0},
    MG_PREPROCESS_OPTION(T(preprocess)),
    {"threads", 't', MG_CLI_INT, T(threads), "N", "all cores", "threads of the network", 0, 256},
    {"workers", 0, MG_CLI_INT, T(workers), "N", "as threads",
     "threads that read and prepare images", 0, 256},
    {"strict", 0, MG_CLI_FLAG, T(strict), NULL, NULL, "stop at the first image that cannot be used",
     0, 0},
    {"no-report", 0, MG_CLI_FLAG, T(no_report), NULL, NULL, "tables only", 0, 0},
};

static const mg_cli_program program = {
    .name = "predict",
    .summary = "Cancer probabilities and activation maps for mammograms",
    .usage = "--model FILE [OPTION]... FILE|DIR...",
    .description =
        "Files are DICOM or grey PNG; folders are searched, but not OUT itself. With --csv the "
        "table names the images.\n"
        "OUT receives predictions.csv (a row per image), submission.csv (per breast),\n"
        "patients.csv, report.html and, with --cam, overlays in the original geometry.\n"
        "Research use only, not a medical device.\n"
        "Exit status: 0 done (bad images are counted and named), 1 failed or interrupted (then\n"
        "predictions.csv has what was scored before Ctrl-C), 2 wrong usage.",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .most_arguments = -1,
};

const mg_cli_program *mg_predict_program(void) { return &program; }

int mg_predict_options_parse(int *argc, char ***argv) {
    int code = mg_cli_parse(&program, argc, argv);
    if (code != MG_CLI_RUN) return code;
    if (!mg_predict.model.count) return mg_cli_usage_error(&program, "--model is needed");
    if (!mg_predict.csv && *argc == 0)
        return mg_cli_usage_error(&program, "name files or folders, or a table with --csv");
    if (mg_predict.csv && *argc > 0)
        return mg_cli_usage_error(&program, "--csv and files do not go together");
    if (!mg_predict.csv && (mg_predict.data || mg_predict.images))
        return mg_cli_usage_error(&program, "--%s belongs to a table: give --csv, too",
                                  mg_predict.data ? "data" : "images");
    if (mg_predict.overlay_side && !mg_predict.cam && !mg_predict.dicom_out)
        return mg_cli_usage_error(&program, "--overlay-side needs --cam or --dicom-out");
    if (mg_predict.full_content && !mg_predict.cache)
        return mg_cli_usage_error(&program, "--full-content needs --cache");
    return MG_CLI_RUN;
}
