/* predict_dicom.c: results as DICOM objects, for research viewers: a Secondary Capture with the
 * overlay per image, and a TID 1500 report per image with its probability and outlined region. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "apps/lib/predictor.h"
#include "data/files.h"
#include "dicom/derived.h"

static mg_status fail_dicom(mg_error *err, const char *path, const mg_dicom_error *why) {
    return mg_fail(err, why->code == MG_DICOM_ERR_IO ? MG_ERR_IO : MG_ERR_FORMAT, "%s: %s", path,
                   why->message);
}

static void output_path(const mg_predictor *p, const mg_cam_item *item, const char *kind, char *out,
                        size_t size) {
    const mg_manifest_image *image = &p->manifest.image[item->image];
    int start = snprintf(out, size, "%s/", mg_predict.dicom_out);
    snprintf(out + start, size - (size_t)start, "%.200s_%.200s_%s.dcm",
             p->manifest.group[image->group].id, image->image_id, kind);
    for (char *c = out + start; *c; c++)
        if (*c == '/') *c = '_';
}

/* Outlines, in the original's pixels, of the map above its threshold. */
static mg_status outlines_of(const mg_cam_item *item, mg_dicom_outline **outlines, int *count,
                             mg_error *err) {
    mg_cam cam = {item->map_height, item->map_width, item->map, item->geometry, MG_ALIGN_STRETCH};
    uint32_t rows = item->geometry->rows, columns = item->geometry->columns;
    size_t n = (size_t)rows * columns;
    float *spread = malloc(n * sizeof *spread);
    uint8_t *mask = malloc(n);
    mg_status s = spread && mask
                      ? mg_cam_resample(&cam, (int)rows, (int)columns, -INFINITY, spread, err)
                      : mg_fail(err, MG_ERR_MEMORY, "out of memory");
    float threshold = s ? 0 : (float)mg_cam_threshold(&cam);
    for (size_t i = 0; i < n && !s; i++) mask[i] = spread[i] > threshold;
    *count = s ? 0 : mg_dicom_trace_outlines(mask, rows, columns, n / 5000, 5, outlines);
    if (!s && *count < 0) s = mg_fail(err, MG_ERR_MEMORY, "out of memory");
    free(spread);
    free(mask);
    return s;
}

static mg_status write_object(mg_dicom_status made, mg_dicom_dataset *object, const char *path,
                              mg_dicom_error *why, mg_error *err) {
    if (!made) made = mg_dicom_write_file(object, path, why);
    mg_dicom_dataset_destroy(object);
    return made ? fail_dicom(err, path, why) : MG_OK;
}

static mg_status write_both(void *arg, mg_cam_item *item, mg_error *err) {
    const mg_predictor *p = arg;
    const mg_manifest_image *image = &p->manifest.image[item->image];
    mg_dicom_error why = {0};
    char path[4096];
    mg_dicom *source = mg_dicom_open(image->path, NULL, &why);
    if (!source) { /* a PNG has no patient or study to go with */
        fprintf(stderr, "no DICOM output for %s: %s\n", image->path, why.message);
        return MG_OK;
    }
    char date[9], clock[7];
    time_t now = time(NULL);
    struct tm parts;
    localtime_r(&now, &parts);
    strftime(date, sizeof date, "%Y%m%d", &parts);
    strftime(clock, sizeof clock, "%H%M%S", &parts);
    mg_dicom_author author = {.version = MG_VERSION,
                              .date = date,
                              .time = clock,
                              .seed = mg_path_name(mg_predict.model.item[0])};
    mg_dicom_capture capture = {.rows = item->overlay.height,
                                .columns = item->overlay.width,
                                .rgb = item->overlay.pixels,
                                .burned_in_text = true};
    mg_dicom_dataset *object = NULL;
    output_path(p, item, "overlay", path, sizeof path);
    mg_dicom_status made = mg_dicom_make_capture(source, &capture, &author, &object, &why);
    mg_status s = write_object(made, object, path, &why, err);
    mg_dicom_outline *outlines = NULL;
    int count = 0;
    if (!s) s = outlines_of(item, &outlines, &count, err);
    if (!s) {
        mg_dicom_finding finding = {source, item->probability, outlines, (size_t)count};
        object = NULL;
        output_path(p, item, "report", path, sizeof path);
        made = mg_dicom_make_report(&finding, 1, &author, &object, &why);
        s = write_object(made, object, path, &why, err);
    }
    mg_dicom_free_outlines(outlines, count);
    mg_dicom_close(source);
    return s;
}

mg_status mg_predict_write_dicom(mg_predictor *p, mg_error *err) {
    mg_status s = mg_make_folders(mg_predict.dicom_out, err);
    return s ? s : mg_predict_look(p, write_both, "DICOM objects", err);
}
