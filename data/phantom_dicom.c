#include "data/phantom_dicom.h"

#include <stdio.h>
#include <string.h>

#include "dicom/dicom.h"
#include "dicom/writer.h"

enum { MANUFACTURER = 0x00080070 };

/* SNOMED CT codes of CID 4014. */
static const struct {
    const char *code, *meaning;
} views[MG_PHANTOM_VIEW_COUNT] = {
    [MG_PHANTOM_CC] = {"399162004", "cranio-caudal"},
    [MG_PHANTOM_MLO] = {"399368009", "medio-lateral oblique"},
    [MG_PHANTOM_ML] = {"399260004", "medio-lateral"},
    [MG_PHANTOM_LM] = {"399352003", "latero-medial"},
};

static void put_uids(mg_dicom_dataset *s, const mg_phantom_settings *settings,
                     const mg_phantom_patient *p, const mg_phantom_image *image) {
    char text[160], uid[65];
    unsigned long long seed = settings->seed;
    int length = snprintf(text, sizeof text, "mammograd phantom %llu %dx%d %g patient %u", seed,
                          settings->columns, settings->rows, settings->difficulty, p->id);
    mg_dicom_uid_from(text, uid);
    mg_dicom_put_text(s, 0x0020000D, uid);
    snprintf(text + length, sizeof text - (size_t)length, " series %d", (int)image->view);
    mg_dicom_uid_from(text, uid);
    mg_dicom_put_text(s, 0x0020000E, uid);
    snprintf(text + length, sizeof text - (size_t)length, " image %u", image->id);
    mg_dicom_uid_from(text, uid);
    mg_dicom_put_text(s, 0x00080018, uid);
}

static void put_patient(mg_dicom_dataset *s, const mg_phantom_patient *p) {
    mg_dicom_put_format(s, 0x00100010, "Phantom^%u", p->id);
    mg_dicom_put_format(s, 0x00100020, "%u", p->id);
    mg_dicom_put_empty(s, 0x00100030);
    mg_dicom_put_text(s, 0x00100040, "F");
    if (p->age >= 0) mg_dicom_put_format(s, 0x00101010, "%03dY", p->age);
    mg_dicom_put_text(s, 0x00080020, "20200102");
    mg_dicom_put_text(s, 0x00080030, "120000");
    mg_dicom_put_text(s, 0x00080023, "20200102");
    mg_dicom_put_text(s, 0x00080033, "120000");
    mg_dicom_put_empty(s, 0x00080050);
    mg_dicom_put_empty(s, 0x00080090);
    mg_dicom_put_format(s, 0x00200010, "%u", p->id);
}

static void put_machine(mg_dicom_dataset *s, const mg_phantom_machine *m) {
    mg_dicom_put_text(s, 0x00080060, "MG");
    mg_dicom_put_text(s, 0x00080068, "FOR PRESENTATION");
    mg_dicom_put_text(s, MANUFACTURER, MG_PHANTOM_MANUFACTURER);
    mg_dicom_put_text(s, 0x00081090, m->model);
    mg_dicom_put_format(s, 0x00081010, "MACHINE%d", m->id);
    mg_dicom_put_format(s, 0x00080080, "Site %d", m->site);
    mg_dicom_put_format(s, 0x00181000, "%d", m->id);
    mg_dicom_put_text(s, 0x00181020, MG_VERSION);
    mg_dicom_put_text(s, 0x00187004, "DIRECT");
    mg_dicom_put_text(s, 0x00181508, "MAMMOGRAPHIC");
    mg_dicom_put_text(s, 0x00181191, "TUNGSTEN");
    mg_dicom_put_text(s, 0x00180060, "29");
}

static void put_view(mg_dicom_dataset *s, const mg_phantom_patient *p,
                     const mg_phantom_image *image, int number) {
    bool left = p->breast[image->breast].laterality == 'L';
    static const char *const down[2][MG_PHANTOM_VIEW_COUNT] = {{"L", "FL", "F", "F"},
                                                               {"R", "FR", "F", "F"}};
    mg_dicom_put_text(s, 0x00080008, "DERIVED\\PRIMARY");
    mg_dicom_put_text(s, 0x00180015, "BREAST");
    mg_dicom_put_text(s, 0x00185101, mg_phantom_view_name(image->view));
    mg_dicom_put_text(s, 0x00200062, left ? "L" : "R");
    mg_dicom_put_format(s, 0x00200020, "%s\\%s", left ? "A" : "P", down[left][image->view]);
    mg_dicom_put_int(s, 0x00200011, image->view + 1);
    mg_dicom_put_int(s, 0x00200013, number + 1);
    mg_dicom_dataset *view = mg_dicom_put_code(s, 0x00540220, views[image->view].code, "SCT",
                                               views[image->view].meaning);
    mg_dicom_put_empty(view, 0x00540222);
    mg_dicom_put_text(s, 0x00400318, "BREAST");
    mg_dicom_put_code(s, 0x00082218, "76752008", "SCT", "Breast");
    mg_dicom_put_text(s, 0x00281300, "NO");  /* implant present */
    mg_dicom_put_text(s, 0x00280301, "YES"); /* burned in annotation: the marker */
    mg_dicom_put_empty(s, 0x00400555);
}

static void put_display(mg_dicom_dataset *s, const mg_phantom_machine *m,
                        const mg_phantom_pixels *pixels) {
    double spacing[2] = {(double)pixels->spacing_mm, (double)pixels->spacing_mm};
    mg_dicom_put_doubles(s, 0x00181164, spacing, 2);
    mg_dicom_put_double(s, 0x00281050, (double)pixels->window_center);
    mg_dicom_put_double(s, 0x00281051, (double)pixels->window_width);
    if (m->sigmoid) mg_dicom_put_text(s, 0x00281056, "SIGMOID");
    mg_dicom_put_text(s, 0x00281052, "0");
    mg_dicom_put_text(s, 0x00281053, "1");
    mg_dicom_put_text(s, 0x00281054, "US");
    mg_dicom_put_text(s, 0x00281040, "LOG");
    mg_dicom_put_int(s, 0x00281041, m->monochrome1 ? 1 : -1);
    mg_dicom_put_text(s, 0x20500020, m->monochrome1 ? "INVERSE" : "IDENTITY");
    mg_dicom_put_text(s, 0x00282110, "00");
    if (m->padding >= 0) mg_dicom_put_int(s, 0x00280120, m->padding);
}

mg_status mg_phantom_write_dicom(const mg_phantom_settings *settings, const mg_phantom_patient *p,
                                 int image, const mg_phantom_pixels *pixels, const char *path,
                                 mg_error *err) {
    const mg_phantom_image *i = &p->image[image];
    const mg_phantom_machine *m = mg_phantom_machine_at(p->machine);
    mg_dicom_dataset *s = mg_dicom_dataset_create();
    if (!s) return mg_fail(err, MG_ERR_MEMORY, "%s: no memory for its header", path);
    mg_dicom_put_text(s, 0x00080016, "1.2.840.10008.5.1.4.1.1.1.2");
    put_uids(s, settings, p, i);
    put_patient(s, p);
    put_machine(s, m);
    put_view(s, p, i, image);
    put_display(s, m, pixels);
    mg_dicom_image description = {.rows = (uint32_t)pixels->rows,
                                  .columns = (uint32_t)pixels->columns,
                                  .frames = 1,
                                  .samples = 1,
                                  .bits_allocated = 16,
                                  .bits_stored = m->bits,
                                  .high_bit = m->bits - 1,
                                  .word_bytes = 2};
    snprintf(description.photometric, sizeof description.photometric, "MONOCHROME%d",
             m->monochrome1 ? 1 : 2);
    description.frame_bytes = (size_t)pixels->rows * (size_t)pixels->columns * 2;
    mg_dicom_encode_options encode = {.transfer_syntax = m->transfer_syntax};
    mg_dicom_error failed = {0};
    mg_dicom_status status = mg_dicom_put_image(s, &description, pixels->pixels, &encode, &failed);
    if (!status) status = mg_dicom_write_file(s, path, &failed);
    mg_dicom_dataset_destroy(s);
    if (!status) return MG_OK;
    mg_status code = status == MG_DICOM_ERR_IO       ? MG_ERR_IO
                     : status == MG_DICOM_ERR_MEMORY ? MG_ERR_MEMORY
                                                     : MG_ERR_FORMAT;
    return mg_fail(err, code, "%s: %s", path, failed.message);
}

static bool made_by_us(const mg_dicom *d) {
    char maker[64] = "";
    return mg_dicom_text(d, MANUFACTURER, maker, sizeof maker) &&
           strcmp(maker, MG_PHANTOM_MANUFACTURER) == 0;
}

bool mg_phantom_is_ours(const char *path) {
    mg_dicom *d = mg_dicom_open(path, &(mg_dicom_options){.stop_at_pixels = true}, NULL);
    bool ours = d && made_by_us(d);
    mg_dicom_close(d);
    return ours;
}

bool mg_phantom_recognise(const mg_manifest *manifest) {
    for (int32_t i = 0; i < manifest->image_count; i++) {
        mg_dicom *d =
            manifest->image[i].path ? mg_dicom_open(manifest->image[i].path, NULL, NULL) : NULL;
        if (!d) continue;
        bool ours = made_by_us(d);
        mg_dicom_close(d);
        return ours;
    }
    return false;
}
