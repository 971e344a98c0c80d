/* Preprocessing after decoding on the emulated device against the host's: the same bytes, the same
 * geometry, the same messages, for every kind of file; and who prepares what the device does not. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/cache.h"
#include "data/files.h"
#include "data/phantom.h"
#include "data/png.h"
#include "data/preprocess_device.h"
#include "dicom/writer.h"
#include "tests/lib/emulator.h"
#include "tests/lib/mammogram_file.h"
#include "tests/lib/scratch.h"

static mg_preprocess_device *on(const mg_device_plugin *plugin, bool always) {
    mg_preprocess_device *d = mg_preprocess_device_create(plugin, always, NULL);
    cr_assert(d);
    return d;
}

static mg_preprocess_counts counts_of(mg_preprocess_device *d) {
    mg_preprocess_counts c;
    mg_preprocess_device_counts(d, &c);
    return c;
}

static mg_preprocess_settings settings(mg_window_mode window, mg_crop_mode crop) {
    mg_preprocess_settings s = mg_preprocess_defaults();
    s.height = 53;
    s.width = 37;
    s.window = window;
    s.crop = crop;
    return s;
}

static mg_status prepare(mg_preprocess_device *d, const mg_preprocess_settings *s, const char *path,
                         mg_prepared *out, mg_error *err) {
    mg_preprocessor *p = mg_preprocessor_create(s, NULL);
    cr_assert(p);
    mg_preprocessor_use(p, d);
    mg_status status = mg_preprocess_file(p, path, NULL, out, err);
    mg_preprocessor_destroy(p);
    return status;
}

/* All there is in a prepared image, as the cache would write it. */
static void expect_same(const char *what, const mg_prepared *a, const mg_prepared *b) {
    static const uint8_t key[16];
    uint8_t *bytes[2];
    size_t size[2];
    cr_assert_eq(mg_cache_encode(a, key, 0, &bytes[0], &size[0], NULL), MG_OK);
    cr_assert_eq(mg_cache_encode(b, key, 0, &bytes[1], &size[1], NULL), MG_OK);
    cr_expect(size[0] == size[1] && memcmp(bytes[0], bytes[1], size[0]) == 0, "%s differs", what);
    cr_expect_str_eq(a->warning, b->warning);
    free(bytes[0]);
    free(bytes[1]);
}

/* Both ways; true: usable. */
static bool compare(mg_preprocess_device *d, const mg_preprocess_settings *s, const char *path) {
    mg_prepared host = {0}, device = {0};
    mg_error a = {0}, b = {0};
    mg_status status = prepare(NULL, s, path, &host, &a);
    cr_expect_eq(prepare(d, s, path, &device, &b), status, "%s: %s", path, b.message);
    cr_expect_str_eq(a.message, b.message);
    if (!status) expect_same(path, &host, &device);
    mg_prepared_free(&host);
    mg_prepared_free(&device);
    return status == MG_OK;
}

/* --- windows, crops, photometrics ------------------------------------------------------------- */

EMULATOR_TEST(simt_preprocess, every_choice) {
    static const char *const functions[] = {NULL, "LINEAR_EXACT", "SIGMOID"};
    static const char *const syntaxes[] = {"1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70",
                                           "1.2.840.10008.1.2.4.90"};
    scratch_make();
    mg_preprocess_device *d = on(emulator, true);
    int files = 0;
    for (int window = 0; window < 3; window++)
        for (int crop = 0; crop < 3; crop++)
            for (int k = 0; k < 4; k++, files++) {
                mg_preprocess_settings s = settings((mg_window_mode)window, (mg_crop_mode)crop);
                mammogram_file m = {.rows = 90 + (uint32_t)(5 * k),
                                    .columns = 71,
                                    .seed = (uint32_t)files,
                                    .photometric = k & 1 ? "MONOCHROME1" : "MONOCHROME2",
                                    .transfer_syntax = syntaxes[files % 3],
                                    .padding = k & 2 ? 3000 : 0,
                                    .center = 1600.5,
                                    .width = k == 3 ? 0 : 900,
                                    .function = functions[(window + crop + k) % 3]};
                const char *path = scratch_path("%d.dcm", files);
                mammogram_write(&m, path);
                cr_expect(compare(d, &s, path));
            }
    cr_expect_eq(counts_of(d).on_device, files);
    mg_preprocess_device_destroy(d);
    scratch_remove();
}

/* JPEG 2000 at reduced resolution has a range of its own, and a geometry that is not the buffer's. */
EMULATOR_TEST(simt_preprocess, reduced_resolution) {
    scratch_make();
    mg_preprocess_device *d = on(emulator, true);
    int files = 0;
    for (int crop = 0; crop < 3; crop++)
        for (int k = 0; k < 4; k++, files++) {
            mg_preprocess_settings s = settings((mg_window_mode)(k % 3), (mg_crop_mode)crop);
            s.reduce = k == 3 ? 9 : k ? k : MG_REDUCE_AUTO;
            mammogram_file m = {.rows = 241,
                                .columns = 183,
                                .seed = (uint32_t)files,
                                .background = 300,
                                .marker = 3300,
                                .padding = k == 2 ? 3000 : 0,
                                .photometric = k & 1 ? "MONOCHROME1" : "MONOCHROME2",
                                .transfer_syntax = "1.2.840.10008.1.2.4.90"};
            mammogram_write(&m, scratch_path("r.dcm"));
            cr_expect(compare(d, &s, scratch_path("r.dcm")), "crop %d, %d", crop, k);
        }
    cr_expect_eq(counts_of(d).on_device, files);
    mg_preprocess_device_destroy(d);
    scratch_remove();
}

/* --- words, rescale, LUTs --------------------------------------------------------------------- */

typedef struct odd_file {
    int word_bytes, bits;
    bool is_signed;
    const char *slope, *intercept;
    bool modality_lut, voi_lut;
} odd_file;

static void put_lut(mg_dicom_dataset *s, uint32_t sequence, int first) {
    uint16_t entries[300], descriptor[3] = {300, (uint16_t)first, 16};
    for (int i = 0; i < 300; i++) entries[i] = (uint16_t)((i < 150 ? 40000 : 100) + 77 * i);
    mg_dicom_dataset *item = mg_dicom_put_item(s, sequence);
    mg_dicom_put_bytes(item, 0x00283002, "US", descriptor, sizeof descriptor);
    mg_dicom_put_bytes(item, 0x00283006, "US", entries, sizeof entries);
}

static const char *odd_write(const odd_file *f, int number) {
    enum { ROWS = 83, COLUMNS = 61 };
    static uint32_t words[ROWS * COLUMNS];
    uint8_t *bytes = (uint8_t *)words;
    const int most = (1 << (f->bits - 1)) - 1, least = f->is_signed ? -most - 1 : 0;
    const int spread = most / 2 < 97 ? most / 2 : 97;
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        int y = i / COLUMNS, x = i % COLUMNS;
        int v = i == 0             ? least
                : i == 1           ? most
                : x < 40 && y > 20 ? most / 2 + i % spread
                                   : 3 + i % 5;
        memcpy(bytes + (size_t)i * (size_t)f->word_bytes, &v, (size_t)f->word_bytes);
    }
    const char *path = scratch_path("odd%d.dcm", number);
    mg_dicom_dataset *s = mg_dicom_dataset_create();
    mg_dicom_image image = {.rows = ROWS,
                            .columns = COLUMNS,
                            .frames = 1,
                            .samples = 1,
                            .bits_allocated = 8 * f->word_bytes,
                            .bits_stored = f->bits,
                            .is_signed = f->is_signed,
                            .photometric = "MONOCHROME2",
                            .word_bytes = f->word_bytes,
                            .frame_bytes = (size_t)(ROWS * COLUMNS * f->word_bytes)};
    mg_dicom_put_text(s, 0x00080016, "1.2.840.10008.5.1.4.1.1.1.2");
    mg_dicom_put_text(s, 0x00080018, "1.2.3");
    if (f->slope) {
        mg_dicom_put_text(s, 0x00281053, f->slope);
        mg_dicom_put_text(s, 0x00281052, f->intercept);
    }
    if (f->modality_lut) put_lut(s, 0x00283000, 0);
    if (f->voi_lut) put_lut(s, 0x00283010, 10);
    mg_dicom_error err = {0};
    cr_assert_eq(mg_dicom_put_image(s, &image, words, NULL, &err), MG_DICOM_OK, "%s", err.message);
    cr_assert_eq(mg_dicom_write_file(s, path, &err), MG_DICOM_OK, "%s", err.message);
    mg_dicom_dataset_destroy(s);
    return path;
}

EMULATOR_TEST(simt_preprocess, odd_words_and_tables) {
    static const odd_file files[] = {
        {.word_bytes = 1, .bits = 8},
        {.word_bytes = 1, .bits = 7, .is_signed = true, .slope = "1.3", .intercept = "-0.77"},
        {.word_bytes = 2, .bits = 16, .is_signed = true, .slope = "0.1", .intercept = "33.3"},
        {.word_bytes = 2, .bits = 16, .slope = "-2", .intercept = "9"},
        {.word_bytes = 2, .bits = 10, .modality_lut = true},
        {.word_bytes = 2, .bits = 10, .voi_lut = true},
        {.word_bytes = 1, .bits = 8, .slope = "2", .intercept = "0", .voi_lut = true},
    };
    scratch_make();
    mg_preprocess_device *d = on(emulator, true);
    enum { COUNT = sizeof files / sizeof *files };
    for (int i = 0; i < COUNT; i++) {
        const char *path = odd_write(&files[i], i);
        for (int window = 0; window < 3; window++) {
            mg_preprocess_settings s = settings((mg_window_mode)window, MG_CROP_BREAST);
            cr_expect(compare(d, &s, path), "%d, window %d", i, window);
        }
    }
    cr_expect_eq(counts_of(d).on_device, 3 * COUNT);
    mg_preprocess_device_destroy(d);
    scratch_remove();
}

/* --- what the host is left with --------------------------------------------------------------- */

static void write_png(const char *path, uint16_t base) {
    static uint16_t pixels[60 * 50];
    for (int i = 0; i < 60 * 50; i++) pixels[i] = (uint16_t)(base + (i % 50 < 30 ? 900 + i : 0));
    mg_png png = {.width = 50, .height = 60, .channels = 1, .bits = 16, .pixels = pixels};
    cr_assert_eq(mg_png_write(path, &png, NULL), MG_OK);
}

EMULATOR_TEST(simt_preprocess, the_host_does_the_rest) {
    mg_preprocess_settings s = settings(MG_WINDOW_SEED, MG_CROP_BREAST);
    scratch_make();
    mg_preprocess_device *d = on(emulator, false);
    const char *png = scratch_path("a.png"), *dicom = scratch_path("a.dcm");
    write_png(png, 7);
    cr_expect(compare(d, &s, png));
    cr_expect(compare(d, &s, odd_write(&(odd_file){.word_bytes = 4, .bits = 20}, 0)));
    cr_expect_eq(counts_of(d).unable, 2);
    mammogram_write(&(mammogram_file){.seed = 4}, dicom);
    mg_preprocess_device_reclaim(d); /* the owner computes */
    cr_expect(compare(d, &s, dicom));
    cr_expect_eq(counts_of(d).busy, 1);
    mg_preprocess_device_lend(d);
    cr_expect(compare(d, &s, dicom));
    mg_preprocess_counts c = counts_of(d);
    cr_expect(c.on_device == 1 && c.busy == 1 && c.unable == 2 && c.no_room == 0);
    mg_preprocess_device_destroy(d);
    scratch_remove();
}

EMULATOR_TEST(simt_preprocess, bad_files_say_the_same) {
    scratch_make();
    mg_preprocess_device *d = on(emulator, true);
    mg_preprocess_settings s = settings(MG_WINDOW_SEED, MG_CROP_BREAST);
    const char *path = scratch_path("bad.dcm");
    mammogram_write(&(mammogram_file){.constant = 7}, path);
    cr_expect_not(compare(d, &s, path));
    mammogram_write(&(mammogram_file){.center = 100000, .width = 5}, path);
    cr_expect_not(compare(d, &s, path));
    mammogram_write(&(mammogram_file){.constant = 3000, .padding = 3000}, path);
    s.window = MG_WINDOW_NONE;
    cr_expect_not(compare(d, &s, path), "nothing but padding");
    cr_expect_not(compare(d, &s, scratch_text("text.dcm", "no image at all")));
    cr_expect_not(compare(d, &s, scratch_path("absent.dcm")));
    mammogram_write(&(mammogram_file){.seed = 1}, path);
    size_t size;
    unsigned char *data = slurp(path, &size);
    cr_expect_not(compare(d, &s, scratch_bytes("cut.dcm", data, size - 5000)));
    free(data);
    cr_expect_eq(counts_of(d).on_device, 0);
    mg_preprocess_device_destroy(d);
    scratch_remove();
}

/* --- a device that is full, or fails ---------------------------------------------------------- */

/* The emulator's memory with a limit to what is in use at once, and a failure on request. */
static int room_for;
static const char *fault;
static void *limited(size_t bytes, const char *label) {
    return room_for-- > 0 ? emulator->memory->alloc(bytes, label) : NULL;
}
static const char *faulty(bool wait) { return fault ? fault : emulator->memory->failure(wait); }

EMULATOR_TEST(simt_preprocess, no_room_and_failures) {
    scratch_make();
    mg_memory memory = *emulator->memory;
    mg_device_plugin plugin = *emulator;
    memory.alloc = limited;
    memory.failure = faulty;
    plugin.memory = &memory;
    mg_preprocess_device *d = on(&plugin, true);
    const char *path = scratch_path("a.dcm");
    mammogram_write(&(mammogram_file){.seed = 1}, path);
    int full = 0;
    for (int crop = 0; crop < 2; crop++) { /* every block in turn is the one too many */
        mg_preprocess_settings s = settings(MG_WINDOW_SEED, (mg_crop_mode)crop);
        for (int blocks = 0; counts_of(d).on_device == crop; blocks++) {
            room_for = blocks;
            cr_assert(compare(d, &s, path) && blocks < 20);
            full++;
        }
    }
    cr_expect_eq(counts_of(d).no_room, full - 2);
    cr_expect(strstr(counts_of(d).no_room_why, "full"), "%s", counts_of(d).no_room_why);
    fault = "kernel burnt";
    room_for = 100;
    mg_prepared out;
    mg_error err = {0};
    mg_preprocess_settings s = settings(MG_WINDOW_SEED, MG_CROP_BREAST);
    cr_expect_eq(prepare(d, &s, path, &out, &err), MG_ERR_DEVICE);
    cr_expect(strstr(err.message, path) && strstr(err.message, "kernel burnt"), "%s", err.message);
    cr_expect_null(out.pixels);
    fault = NULL;
    mg_preprocess_device_destroy(d);
    scratch_remove();
}

/* --- several threads -------------------------------------------------------------------------- */

typedef struct worker {
    pthread_t thread;
    mg_preprocess_device *device;
    int number;
    mg_prepared out[3];
} worker;

static void *work(void *arg) {
    worker *w = arg;
    mg_preprocess_settings s = settings(MG_WINDOW_DICOM, MG_CROP_BREAST);
    for (int i = 0; i < 3; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%d.dcm", scratch_path("threads"), (w->number + i) % 4);
        prepare(w->device, &s, path, &w->out[i], NULL);
    }
    return NULL;
}

EMULATOR_TEST(simt_preprocess, threads_take_turns) {
    scratch_make();
    mg_preprocess_settings s = settings(MG_WINDOW_DICOM, MG_CROP_BREAST);
    mg_prepared want[4];
    for (int i = 0; i < 4; i++) {
        const char *path = scratch_path("threads/%d.dcm", i);
        mammogram_write(&(mammogram_file){.seed = (uint32_t)i, .center = 1500, .width = 900}, path);
        cr_assert_eq(prepare(NULL, &s, path, &want[i], NULL), MG_OK);
    }
    for (int always = 0; always < 2; always++) {
        worker w[4] = {0};
        mg_preprocess_device *d = on(emulator, always);
        for (int i = 0; i < 4; i++) {
            w[i].device = d;
            w[i].number = i;
            pthread_create(&w[i].thread, NULL, work, &w[i]);
        }
        for (int i = 0; i < 4; i++) {
            pthread_join(w[i].thread, NULL);
            for (int k = 0; k < 3; k++) {
                cr_assert(w[i].out[k].pixels);
                expect_same("an image among threads", &want[(i + k) % 4], &w[i].out[k]);
                mg_prepared_free(&w[i].out[k]);
            }
        }
        mg_preprocess_counts c = counts_of(d);
        cr_expect(c.on_device + c.busy == 12 && c.on_device > 0 && !(always && c.busy));
        mg_preprocess_device_destroy(d);
    }
    for (int i = 0; i < 4; i++) mg_prepared_free(&want[i]);
    scratch_remove();
}

/* --- sets of files ---------------------------------------------------------------------------- */

static int compare_folder(mg_preprocess_device *d, const mg_preprocess_settings *s,
                          const char *folder) {
    mg_path_list files = {0};
    mg_error err = {0};
    int usable = 0;
    cr_assert_eq(mg_list_files(folder, &files, &err), MG_OK, "%s", err.message);
    for (size_t i = 0; i < files.count; i++) usable += compare(d, s, files.path[i]);
    mg_path_list_free(&files);
    return usable;
}

Test(simt_preprocess, phantoms, .init = emulator_open) {
    mg_phantom_settings phantom = mg_phantom_defaults();
    phantom.patients = 6;
    phantom.columns = 208;
    phantom.rows = 256;
    scratch_make();
    const char *folder = scratch_path("phantom");
    mg_error err = {0};
    cr_assert_eq(mg_phantom_write(&phantom, folder, NULL, NULL, NULL, &err), MG_OK, "%s",
                 err.message);
    mg_preprocess_device *d = on(emulator, true);
    for (int window = 0; window < 2; window++) {
        mg_preprocess_settings s = settings((mg_window_mode)window, (mg_crop_mode)window);
        s.height = 151;
        s.width = 80;
        int usable = compare_folder(d, &s, scratch_path("phantom/train_images"));
        cr_expect(usable > 20);
    }
    cr_expect(counts_of(d).on_device > 40 && !counts_of(d).unable);
    mg_preprocess_device_destroy(d);
    emulator_expect_clean("phantoms");
    scratch_remove();
}

/* Closing and opening the memory of large images for every copy takes most of the time. */
static void open_without_guard(void) {
    setenv("SIMT_GUARD", "0", 1);
    emulator_open();
}

/* Every file at hand, good and bad, with every window. */
Test(simt_preprocess, real_files, .init = open_without_guard) {
    const char *data = getenv("MG_TEST_DATA");
    if (!data) cr_skip_test("MG_TEST_DATA is not set");
    mg_preprocess_device *d = on(emulator, true);
    static const char *const folders[] = {"dicom", "mammo/cdd_cesm/train_images"};
    for (int k = 0; k < 2; k++)
        for (int window = 0; window < 3; window++) {
            mg_preprocess_settings s = settings((mg_window_mode)window, MG_CROP_BREAST);
            s.reduce = k ? 0 : MG_REDUCE_AUTO;
            char folder[1024];
            snprintf(folder, sizeof folder, "%s/%s", data, folders[k]);
            cr_expect(compare_folder(d, &s, folder) >= 30);
        }
    cr_expect(counts_of(d).on_device > 90);
    mg_preprocess_device_destroy(d);
    emulator_expect_clean("real files");
}
