/* phantom_plan.c: who is in a phantom set, and what is in each breast. */
#include "data/phantom.h"
#include "data/phantom_math.h"

#include <stdlib.h>

#define IMPLICIT_LE   "1.2.840.10008.1.2"
#define EXPLICIT_LE   "1.2.840.10008.1.2.1"
#define RLE_LOSSLESS  "1.2.840.10008.1.2.5"
#define JPEG_LOSSLESS "1.2.840.10008.1.2.4.70"
#define JPEG_LS       "1.2.840.10008.1.2.4.80"
#define JPEG_2000     "1.2.840.10008.1.2.4.90"

/* Ids and the split over sites follow the RSNA set; models, formats and looks are made up. */
static const mg_phantom_machine machines[] = {
    {.id = 49,
     .site = 1,
     .model = "Phantom One",
     .transfer_syntax = JPEG_LOSSLESS,
     .bits = 12,
     .padding = 0,
     .share = 0.26f,
     .equalise = 0.80f,
     .gamma = 1.00f,
     .sharpen = 0.5f,
     .noise = 0.012f,
     .background = 0.010f},
    {.id = 48,
     .site = 2,
     .model = "Phantom Two",
     .transfer_syntax = JPEG_LS,
     .bits = 12,
     .padding = -1,
     .sigmoid = true,
     .share = 0.16f,
     .equalise = 0.70f,
     .gamma = 1.10f,
     .sharpen = 0.7f,
     .noise = 0.014f,
     .background = 0.020f},
    {.id = 29,
     .site = 2,
     .model = "Phantom Two F",
     .transfer_syntax = EXPLICIT_LE,
     .bits = 12,
     .monochrome1 = true,
     .padding = -1,
     .share = 0.16f,
     .equalise = 0.55f,
     .gamma = 0.95f,
     .sharpen = 0.2f,
     .noise = 0.016f,
     .background = 0.030f},
    {.id = 21,
     .site = 2,
     .model = "Phantom Two",
     .transfer_syntax = JPEG_2000,
     .bits = 14,
     .padding = 0,
     .share = 0.12f,
     .equalise = 0.85f,
     .gamma = 1.15f,
     .sharpen = 0.9f,
     .noise = 0.010f,
     .background = 0.008f},
    {.id = 93,
     .site = 1,
     .model = "Phantom Classic",
     .transfer_syntax = IMPLICIT_LE,
     .bits = 16,
     .padding = -1,
     .share = 0.10f,
     .equalise = 0.60f,
     .gamma = 0.90f,
     .sharpen = 0.0f,
     .noise = 0.018f,
     .background = 0.040f},
    {.id = 216,
     .site = 1,
     .model = "Phantom One",
     .transfer_syntax = RLE_LOSSLESS,
     .bits = 12,
     .padding = -1,
     .sigmoid = true,
     .share = 0.10f,
     .equalise = 0.75f,
     .gamma = 1.05f,
     .sharpen = 0.4f,
     .noise = 0.012f,
     .background = 0.015f},
    {.id = 210,
     .site = 1,
     .model = "Phantom Classic",
     .transfer_syntax = JPEG_LOSSLESS,
     .bits = 16,
     .monochrome1 = true,
     .padding = 65535,
     .share = 0.10f,
     .equalise = 0.65f,
     .gamma = 1.00f,
     .sharpen = 0.3f,
     .noise = 0.014f,
     .background = 0.025f},
};

int mg_phantom_machine_count(void) { return (int)(sizeof machines / sizeof *machines); }

const mg_phantom_machine *mg_phantom_machine_at(int index) {
    MG_ASSERT(index >= 0 && index < mg_phantom_machine_count());
    return &machines[index];
}

const char *mg_phantom_view_name(mg_phantom_view view) {
    static const char *const names[] = {"CC", "MLO", "ML", "LM"};
    MG_ASSERT((unsigned)view < MG_PHANTOM_VIEW_COUNT);
    return names[view];
}

const char *mg_phantom_kind_name(mg_phantom_kind kind) {
    static const char *const names[] = {
        "spiculated mass",
        "lobulated mass",
        "calcification cluster",
        "benign mass",
        "lymph node",
        "scattered calcifications",
        "coarse calcification",
        "vascular calcification",
    };
    MG_ASSERT((unsigned)kind < MG_PHANTOM_KIND_COUNT);
    return names[kind];
}

mg_phantom_settings mg_phantom_defaults(void) {
    return (mg_phantom_settings){.seed = 1,
                                 .patients = 100,
                                 .positive = 0.5,
                                 .test_positive = 0.2,
                                 .columns = 1664,
                                 .rows = 2048,
                                 .difficulty = 0.3};
}

/* --- findings ----------------------------------------------------------------------------------*/

static mg_phantom_finding place(draws *d, mg_phantom_kind kind, float radius, float contrast,
                                float speck) {
    return (mg_phantom_finding){.kind = kind,
                                .malignant = kind <= MG_PHANTOM_CLUSTER,
                                .depth = draw_range(d, 0.35f, 0.80f),
                                .medial = draw_range(d, -0.55f, 0.55f),
                                .superior = draw_range(d, -0.55f, 0.55f),
                                .radius = radius,
                                .contrast = contrast,
                                .speck = speck,
                                .stream = draw_word(d)};
}

static void add(mg_phantom_breast *b, mg_phantom_finding f) {
    MG_ASSERT(b->findings < MG_PHANTOM_MAX_FINDINGS);
    b->finding[b->findings++] = f;
}

/* The same draws whatever the label: one mass at most and one group of fine calcifications at most,
 * of the same size and contrast; cancer only decides their kind (and that there is one). */
static void draw_findings(const mg_phantom_settings *s, draws *d, mg_phantom_breast *b) {
    float hard = (float)s->difficulty;
    float radius = draw_range(d, 4.0f, 6.0f) * (1.36f - 0.40f * hard);
    float contrast = draw_range(d, 0.8f, 1.2f) * (0.46f - 0.34f * hard);
    float speck = draw_range(d, 0.8f, 1.2f) * (0.75f - 0.50f * hard);
    float extent = draw_range(d, 5.0f, 8.0f);
    bool mass = draw_chance(d, 0.90f), calcium = draw_chance(d, 0.95f);
    float which = draw_uniform(d);
    mg_phantom_kind malignant = which < 0.75f   ? MG_PHANTOM_SPICULATED
                                : which < 0.87f ? MG_PHANTOM_LOBULATED
                                                : MG_PHANTOM_CLUSTER;
    bool cluster = b->cancer && malignant == MG_PHANTOM_CLUSTER;
    mg_phantom_kind solid = b->cancer && !cluster ? malignant : MG_PHANTOM_BENIGN_MASS;
    mg_phantom_finding m = place(d, solid, radius, contrast, speck);
    if (mass || solid != MG_PHANTOM_BENIGN_MASS) add(b, m);
    mg_phantom_kind specks = cluster ? MG_PHANTOM_CLUSTER : MG_PHANTOM_SCATTERED;
    mg_phantom_finding c = place(d, specks, extent, contrast, speck);
    if (calcium || cluster) add(b, c);
    mg_phantom_finding node =
        place(d, MG_PHANTOM_LYMPH_NODE, draw_range(d, 3.0f, 6.0f), contrast, speck);
    node.depth = draw_range(d, 0.05f, 0.35f);
    node.superior = draw_range(d, -1.0f, -0.75f);
    if (draw_chance(d, 0.35f)) add(b, node);
    mg_phantom_finding coarse =
        place(d, MG_PHANTOM_COARSE, draw_range(d, 0.8f, 1.8f), 1.3f * speck, speck);
    if (draw_chance(d, 0.90f)) add(b, coarse);
    mg_phantom_finding vessel =
        place(d, MG_PHANTOM_VASCULAR, draw_range(d, 20.0f, 45.0f), 0.12f, speck);
    if (draw_chance(d, 0.15f)) add(b, vessel);
    bool difficult = draw_chance(d, 0.3f); /* drawn in any case: no draw depends on the label */
    b->difficult_negative = difficult && mass && !b->cancer;
}

/* --- patients ----------------------------------------------------------------------------------*/

static void draw_breast(const mg_phantom_settings *s, draws *d, int site, mg_phantom_breast *b) {
    draw_findings(s, d, b);
    float biopsy = draw_uniform(d), invasive = draw_uniform(d), birads = draw_uniform(d);
    b->biopsy = b->cancer || (b->difficult_negative && biopsy < 0.4f);
    b->invasive = b->cancer && invasive < 0.7f;
    b->birads = site == 2 && !b->difficult_negative  ? -1
                : b->cancer || b->difficult_negative ? 0
                : birads < 0.85f                     ? 1
                                                     : 2;
    if (site == 2 && b->cancer) b->birads = birads < 0.5f ? 0 : -1;
}

static void draw_images(const mg_phantom_settings *s, draws *d, mg_phantom_patient *p) {
    for (int side = 0; side < 2; side++) {
        for (int v = MG_PHANTOM_CC; v <= MG_PHANTOM_MLO; v++)
            p->image[p->images++] = (mg_phantom_image){.breast = side, .view = (mg_phantom_view)v};
        float extra = draw_uniform(d);
        mg_phantom_image more = {.breast = side};
        if (extra < 0.04f) more.repeat = 1;
        else if (extra < 0.09f) more.repeat = 1, more.view = MG_PHANTOM_MLO;
        else if (extra < 0.10f) more.view = MG_PHANTOM_ML;
        else if (extra < 0.11f) more.view = MG_PHANTOM_LM;
        else continue;
        p->image[p->images++] = more;
    }
    /* An odd factor permutes the 31-bit numbers, so ids are unique and look like RSNA's. */
    for (int i = 0; i < p->images; i++) {
        uint32_t serial = (uint32_t)p->index * MG_PHANTOM_MAX_IMAGES + (uint32_t)i + 1;
        p->image[i].id = (serial * 0x9E3779B1u ^ (uint32_t)s->seed * 0x85EBCA6Bu) & 0x7fffffffu;
    }
}

static int draw_machine(draws *d) {
    float u = draw_uniform(d);
    int m = 0;
    while (m + 1 < mg_phantom_machine_count() && u >= machines[m].share) u -= machines[m++].share;
    return m;
}

static void draw_patient(const mg_phantom_settings *s, int index, bool cancer,
                         mg_phantom_patient *p) {
    draws d = draws_of(s->seed, STREAM_PATIENT, index, 0);
    *p = (mg_phantom_patient){.index = index, .test = index >= s->patients};
    p->id = 10000u + 7u * (uint32_t)index + (uint32_t)draw_below(&d, 7);
    p->machine = draw_machine(&d);
    int age = 58 + (int)(10.0f * draw_normal(&d));
    p->age = draw_chance(&d, 0.002f) ? -1 : age < 26 ? 26 : age > 89 ? 89 : age;
    float density = draw_uniform(&d);
    p->density = density < 0.11f ? 'A' : density < 0.54f ? 'B' : density < 0.95f ? 'C' : 'D';
    int site = machines[p->machine].site;
    p->density_known = site == 1;
    float both = draw_uniform(&d);
    int side = draw_below(&d, 2);
    for (int b = 0; b < 2; b++) {
        p->breast[b].laterality = "LR"[b];
        p->breast[b].cancer = cancer && (b == side || both < 0.012f);
        draw_breast(s, &d, site, &p->breast[b]);
    }
    draw_images(s, &d, p);
}

/* Marks exactly round(share * n) of n patients, by a seeded Fisher–Yates shuffle. */
static mg_status choose_positives(uint64_t seed, uint32_t sample, int n, double share,
                                  unsigned char *positive, mg_error *err) {
    int *order = malloc((size_t)(n ? n : 1) * sizeof *order);
    if (!order) return mg_fail(err, MG_ERR_MEMORY, "no memory to plan %d patients", n);
    draws d = draws_of(seed, STREAM_SHUFFLE, 0, sample);
    for (int i = 0; i < n; i++) order[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int j = draw_below(&d, i + 1), t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    int count = (int)(share * n + 0.5);
    for (int i = 0; i < n; i++) positive[order[i]] = i < count;
    free(order);
    return MG_OK;
}

static mg_status check(const mg_phantom_settings *s, mg_error *err) {
    enum { MOST = 1000000, SIDE = 16384 };
    if (s->patients < 0 || s->test_patients < 0 || s->patients > MOST || s->test_patients > MOST ||
        s->patients + s->test_patients < 1)
        return mg_fail(err, MG_ERR_ARG, "%d + %d patients; need 1 to %d of each kind", s->patients,
                       s->test_patients, MOST);
    if (!(s->positive >= 0 && s->positive <= 1) ||
        !(s->test_positive >= 0 && s->test_positive <= 1))
        return mg_fail(err, MG_ERR_ARG, "the positive shares %g and %g must lie in 0…1",
                       s->positive, s->test_positive);
    if (!(s->difficulty >= 0 && s->difficulty <= 1))
        return mg_fail(err, MG_ERR_ARG, "difficulty %g must lie in 0…1", s->difficulty);
    if (s->columns < MG_PHANTOM_MIN_SIDE || s->rows < MG_PHANTOM_MIN_SIDE || s->columns > SIDE ||
        s->rows > SIDE)
        return mg_fail(err, MG_ERR_ARG, "image of %d x %d pixels; each side needs %d to %d",
                       s->columns, s->rows, MG_PHANTOM_MIN_SIDE, SIDE);
    return MG_OK;
}

mg_status mg_phantom_plan(const mg_phantom_settings *s, mg_phantom_patient *out, mg_error *err) {
    mg_status status = check(s, err);
    if (status) return status;
    int n = s->patients + s->test_patients;
    unsigned char *positive = malloc((size_t)n);
    if (!positive) return mg_fail(err, MG_ERR_MEMORY, "no memory to plan %d patients", n);
    status = choose_positives(s->seed, 0, s->patients, s->positive, positive, err);
    if (!status)
        status = choose_positives(s->seed, 1, s->test_patients, s->test_positive,
                                  positive + s->patients, err);
    for (int i = 0; i < n && !status; i++) draw_patient(s, i, positive[i], &out[i]);
    free(positive);
    return status;
}
