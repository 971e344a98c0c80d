/* preprocess: fill the cache of network inputs, check a data set, print its statistics. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "apps/lib/cli.h"
#include "apps/lib/interrupt.h"
#include "apps/lib/preprocess_choice.h"
#include "apps/lib/progress.h"
#include "data/cache.h"
#include "data/image_statistics.h"
#include "data/manifest.h"
#include "tensor/pool.h"

static const char *data_folder, *csv, *images_folder, *cache_folder;
static const char *window = "seed", *crop = "breast", *reduce = "off", *device = "cpu";
static int64_t height = 955, width = 500, jobs = 0, compression = 0;
static double margin = 0.01;
static bool stats, strict, full_content;

static const mg_cli_option options[] = {
    {"data", 'd', MG_CLI_STRING, &data_folder, "DIR", NULL, "data set with train.csv or --csv", 0,
     0},
    {"csv", 0, MG_CLI_STRING, &csv, "FILE", "train.csv", "table of the images", 0, 0},
    {"images", 0, MG_CLI_STRING, &images_folder, "DIR", NULL, "where the table's images are", 0, 0},
    {"cache", 'c', MG_CLI_STRING, &cache_folder, "DIR", NULL, "where network inputs are kept", 0,
     0},
    {"height", 0, MG_CLI_INT, &height, "N", "955", "rows of the network's input", 1, 16384},
    {"width", 0, MG_CLI_INT, &width, "N", "500", "columns of the network's input", 1, 16384},
    {"window", 0, MG_CLI_CHOICE, &window, "seed|dicom|none", "seed", "which grey values count", 0,
     0},
    {"crop", 0, MG_CLI_CHOICE, &crop, "breast|zero|none", "breast", "what of the image is kept", 0,
     0},
    {"margin", 0, MG_CLI_FLOAT, &margin, "F", "0.01", "around the breast, share of its length", 0,
     1},
    {"j2k-reduce", 0, MG_CLI_STRING, &reduce, "auto|off|N", "off",
     "decode JPEG 2000 at 1/2^N of its resolution; auto: what the network needs", 0, 0},
    {"device", 0, MG_CLI_STRING, &device, "cpu|cuda[:N]|simt", "cpu",
     "what prepares decoded images; the cache's bytes are the same (simt: slow, for tests)", 0, 0},
    {"jobs", 'j', MG_CLI_INT, &jobs, "N", "one per core", "worker threads", 1, 1024},
    {"compress", 0, MG_CLI_INT, &compression, "N", "0", "zlib level of cache entries, 0 none", 0,
     9},
    {"full-content", 0, MG_CLI_FLAG, &full_content, NULL, NULL,
     "recognise files by all their bytes, not by samples", 0, 0},
    {"stats", 's', MG_CLI_FLAG, &stats, NULL, NULL, "print sizes and intensities", 0, 0},
    {"strict", 0, MG_CLI_FLAG, &strict, NULL, NULL, "stop at the first bad file", 0, 0},
};
static const mg_cli_program program = {
    .name = "preprocess",
    .summary = "Prepare mammograms for the network and keep the results on disk",
    .usage = "[OPTION]... --data DIR | FILE|DIR...",
    .description = "Give --cache, --stats or both. A run that was stopped goes on where it was:\n"
                   "images that are in the cache already are read from there.\n",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .most_arguments = -1,
};

/* What the worker threads share. */
typedef struct job {
    const mg_manifest *manifest;
    const mg_preprocess_settings *settings;
    mg_cache *cache;
    mg_preprocess_device *device;   /* or NULL */
    mg_preprocessor **preprocessor; /* per thread */
    mg_image_summary *summary;      /* per image */
    uint8_t *good;                  /* per image */
    pthread_mutex_t lock;           /* of the rest */
    mg_progress progress;
    int64_t done, bad, cached, odd;
} job;

static atomic_bool given_up; /* --strict met a bad file */

static bool stopping(void) { return given_up || mg_interrupted(); }

static void report(job *j, const mg_manifest_image *image, mg_status status, bool hit,
                   const char *warning, const mg_error *err) {
    pthread_mutex_lock(&j->lock);
    j->done++;
    if (status) {
        j->bad++;
        mg_progress_clear(&j->progress);
        fprintf(stderr, "bad: %s (patient %s, image %s)\n", err->message, image->patient_id,
                image->image_id);
        if (strict || status == MG_ERR_DEVICE) given_up = true;
    } else {
        j->cached += hit;
        j->odd += *warning != '\0';
    }
    char detail[80];
    snprintf(detail, sizeof detail, "%lld from the cache, %lld bad", (long long)j->cached,
             (long long)j->bad);
    mg_progress_update(&j->progress, j->done, detail);
    pthread_mutex_unlock(&j->lock);
}

static void prepare_one(void *arg, int64_t index, int thread) {
    job *j = arg;
    if (stopping()) return;
    const mg_manifest_image *image = &j->manifest->image[index];
    mg_error err = {0};
    mg_prepared p = {0};
    bool hit = false;
    mg_status status = MG_OK;
    if (!j->preprocessor[thread]) {
        j->preprocessor[thread] = mg_preprocessor_create(j->settings, &err);
        if (j->preprocessor[thread]) mg_preprocessor_use(j->preprocessor[thread], j->device);
    }
    if (!j->preprocessor[thread]) status = err.code;
    else if (!image->path) status = mg_fail(&err, MG_ERR_IO, "no such file in the data set");
    else status = mg_prepare(j->cache, j->preprocessor[thread], image->path, &p, &hit, &err);
    if (!status) {
        j->good[index] = 1;
        if (stats) j->summary[index] = mg_image_summarise(&p);
    }
    report(j, image, status, hit, p.warning, &err);
    mg_prepared_free(&p);
}

/* --- output ----------------------------------------------------------------------------------- */

static mg_status print_statistics(const job *j, mg_error *err) {
    size_t n = 0;
    for (int32_t i = 0; i < j->manifest->image_count; i++)
        if (j->good[i]) j->summary[n++] = j->summary[i];
    if (n == 0) return MG_OK;
    printf("%-18s %10s %10s %10s %10s %10s %10s\n", "", "least", "5%", "median", "mean", "95%",
           "most");
    mg_distribution d = {0}, aspect = {0};
    for (int q = 0; q < MG_IMAGE_QUANTITIES; q++) {
        mg_status status = mg_image_distribution(j->summary, n, (mg_image_quantity)q, &d, err);
        if (status) return status;
        printf("%-18s %10.5g %10.5g %10.5g %10.5g %10.5g %10.5g\n",
               mg_image_quantity_name((mg_image_quantity)q), d.least, d.low, d.median, d.mean,
               d.high, d.most);
        if (q == MG_IMAGE_KEPT_ASPECT) aspect = d;
    }
    printf("%zu images; at %lld columns the mean aspect ratio gives %.0f rows\n", n,
           (long long)width, aspect.mean * (double)width);
    return MG_OK;
}

static void print_summary(const job *j) {
    char took[32];
    mg_duration_text(mg_clock() - j->progress.started, took, sizeof took);
    fprintf(stderr, "%lld of %d images in %s: %lld prepared, %lld from the cache, %lld bad\n",
            (long long)j->done, j->manifest->image_count, took,
            (long long)(j->done - j->cached - j->bad), (long long)j->cached, (long long)j->bad);
    if (j->odd)
        fprintf(stderr,
                "%lld images break a rule of DICOM but could be read; apps/dicom info "
                "says which\n",
                (long long)j->odd);
    char prepared[700];
    if (*mg_preprocess_told(j->device, prepared, sizeof prepared))
        fprintf(stderr, "%s\n", prepared);
    if (!j->cache) return;
    mg_cache_statistics s;
    mg_cache_get_statistics(j->cache, &s);
    if (s.damaged)
        fprintf(stderr, "%llu damaged cache entries were made again\n",
                (unsigned long long)s.damaged);
    if (s.write_failures)
        fprintf(stderr, "%llu cache entries could not be written; the first: %s\n",
                (unsigned long long)s.write_failures, s.first_failure);
}

/* --- running ---------------------------------------------------------------------------------- */

static mg_status read_settings(mg_preprocess_settings *s, mg_error *err) {
    *s = mg_preprocess_defaults();
    s->height = (uint32_t)height;
    s->width = (uint32_t)width;
    s->margin = (float)margin;
    mg_status status = mg_reduce_from_name(reduce, &s->reduce, err);
    if (!status) status = mg_window_from_name(window, &s->window, err);
    return status ? status : mg_crop_from_name(crop, &s->crop, err);
}

static mg_status read_manifest(int argc, char **argv, mg_manifest *m, mg_error *err) {
    if (argc == 0) {
        mg_manifest_options o = {
            .data = data_folder, .csv = csv, .images = images_folder, .missing = MG_MISSING_KEEP};
        return mg_manifest_read(&o, m, err);
    }
    mg_path_list files = {0};
    mg_status status = MG_OK;
    for (int i = 0; i < argc && !status; i++)
        status = mg_list_files_except(argv[i], &cache_folder, 1, &files, err);
    char first[300] = "";
    size_t again = status ? 0 : mg_path_list_unique(&files, first, sizeof first);
    if (again)
        fprintf(stderr, "%zu files were named more than once and count once; the first: %s\n",
                again, first);
    if (!status && !files.count)
        status = mg_fail(err, MG_ERR_ARG, "%s: no files in there", argv[0]);
    if (!status) status = mg_manifest_from_files(&files, m, err);
    mg_path_list_free(&files);
    return status;
}

/* Asked for by name, so that the emulator prepares every image; a GPU shares the work. */
static mg_status open_device(mg_preprocess_device **out, mg_error *err) {
    mg_device id;
    const mg_device_plugin *plugin;
    mg_status status = mg_device_open(device, &id, &plugin, err);
    if (status) return status;
    return mg_preprocess_choose(id == MG_DEVICE_SIMT ? "device" : "auto", plugin, out, err);
}

static mg_status work(job *j, mg_error *err) {
    mg_pool *pool = mg_pool_create((int)jobs);
    int threads = mg_pool_threads(pool);
    size_t n = (size_t)j->manifest->image_count + 1;
    j->preprocessor = calloc((size_t)threads, sizeof *j->preprocessor);
    j->summary = calloc(n, sizeof *j->summary);
    j->good = calloc(n, 1);
    mg_status status = MG_OK;
    if (!pool || !j->preprocessor || !j->summary || !j->good)
        status = mg_fail(err, MG_ERR_MEMORY, "out of memory for %zu images", n);
    pthread_mutex_init(&j->lock, NULL);
    mg_progress_start(&j->progress, "images", j->manifest->image_count);
    if (!status) mg_parallel_for(pool, j->manifest->image_count, prepare_one, j);
    mg_progress_clear(&j->progress);
    mg_pool_destroy(pool);
    if (!status) print_summary(j);
    if (!status && stats) status = print_statistics(j, err);
    if (!status && !stopping() && j->done == j->bad)
        status = j->done ? mg_fail(err, MG_ERR_IO,
                                   "not one of %lld images could be used; the reasons "
                                   "are above",
                                   (long long)j->done)
                         : mg_fail(err, MG_ERR_IO, "the table has no rows");
    for (int i = 0; j->preprocessor && i < threads; i++)
        mg_preprocessor_destroy(j->preprocessor[i]);
    pthread_mutex_destroy(&j->lock);
    free(j->preprocessor);
    free(j->summary);
    free(j->good);
    return status;
}

static mg_status run(int argc, char **argv, job *j, mg_error *err) {
    mg_preprocess_settings settings;
    mg_manifest manifest = {0};
    mg_status status = read_settings(&settings, err);
    if (!status) status = read_manifest(argc, argv, &manifest, err);
    if (status) return status;
    mg_cache_options o = {.compression = (int)compression, .full_content = full_content};
    *j = (job){.manifest = &manifest, .settings = &settings};
    if (cache_folder) j->cache = mg_cache_open(cache_folder, &settings, &o, err);
    if (cache_folder && !j->cache) status = MG_ERR_IO;
    if (!status) status = open_device(&j->device, err);
    if (!status) status = work(j, err);
    mg_preprocess_device_destroy(j->device);
    mg_cache_close(j->cache);
    mg_manifest_free(&manifest);
    return status;
}

int main(int argc, char **argv) {
    int code = mg_cli_parse(&program, &argc, &argv);
    if (code != MG_CLI_RUN) return code;
    if (!cache_folder && !stats)
        return mg_cli_usage_error(&program, "give --cache, --stats or both");
    if (argc == 0 && !data_folder && !csv)
        return mg_cli_usage_error(&program, "give --data DIR, --csv FILE or files");
    if (argc > 0 && (data_folder || csv))
        return mg_cli_usage_error(&program, "give either --data and --csv or files, not both");
    mg_interrupt_install();
    mg_error err = {0};
    static job j;
    if (run(argc, argv, &j, &err)) {
        fprintf(stderr, "preprocess: %s\n", err.message);
        return MG_EXIT_FAILED;
    }
    if (given_up) return MG_EXIT_FAILED;
    if (!mg_interrupted()) return MG_EXIT_DONE;
    fprintf(stderr, "stopped; run it again to go on\n");
    return MG_EXIT_FAILED;
}
