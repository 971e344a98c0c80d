/* report.html: well-formed, escaped, self-contained, complete. MG_TEST_KEEP=FOLDER keeps the pages
 * and plots there, to look at. */
#include <criterion/criterion.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/files.h"
#include "data/report.h"
#include "data/text.h"
#include "tests/lib/report_sample.h"

static char folder[256];

static void make_folder(void) {
    const char *keep = getenv("MG_TEST_KEEP");
    snprintf(folder, sizeof folder, "%s", keep ? keep : "/tmp/mg-report-XXXXXX");
    if (!keep) cr_assert(mkdtemp(folder));
}

static void remove_folder(void) {
    mg_path_list files = {0};
    if (!getenv("MG_TEST_KEEP") && mg_list_files(folder, &files, NULL) == MG_OK) {
        for (size_t i = 0; i < files.count; i++) unlink(files.path[i]);
        rmdir(folder);
    }
    mg_path_list_free(&files);
}

TestSuite(report, .init = make_folder, .fini = remove_folder);

static char *in_folder(const char *name) {
    char *path = mg_path_join(folder, name);
    cr_assert(path);
    return path;
}

/* A strict little reader of the markup we write: every tag closed in order, attributes quoted,
 * no bare < or &. Returns the number of elements, or fails the test. */
typedef struct markup {
    const char *at;
    char open[64][24];
    int depth, elements;
} markup;

static void skip_attributes(markup *m) {
    while (*m->at != '>' && *m->at != '/') {
        cr_assert(*m->at == ' ', "between attributes: %.30s", m->at);
        m->at++;
        while (isalnum((unsigned char)*m->at) || *m->at == '-') m->at++;
        if (*m->at != '=') continue;
        cr_assert(m->at[1] == '"', "unquoted: %.30s", m->at);
        m->at = strchr(m->at + 2, '"');
        cr_assert(m->at);
        m->at++;
    }
}

static void read_tag(markup *m) {
    static const char *const empty[] = {"meta", "img", "!DOCTYPE"};
    char name[24] = "";
    bool closing = *m->at == '/';
    size_t n = strcspn(m->at += closing, " >/");
    cr_assert(n > 0 && n < sizeof name, "tag name: %.30s", m->at);
    memcpy(name, m->at, n);
    m->at += n;
    m->elements++;
    if (closing) {
        cr_assert(m->depth > 0 && strcmp(m->open[m->depth - 1], name) == 0,
                  "</%s> closes <%s> at %.60s", name, m->depth ? m->open[m->depth - 1] : "", m->at);
        m->depth--;
    } else {
        skip_attributes(m);
        bool single = *m->at == '/';
        m->at += single;
        for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
            single |= strcmp(name, empty[i]) == 0;
        cr_assert(m->depth < 64);
        if (!single) strcpy(m->open[m->depth++], name);
    }
    cr_assert(*m->at == '>', "end of <%s>: %.30s", name, m->at);
    m->at++;
}

static int check_markup(const char *html) {
    markup m = {.at = html};
    while (*m.at) {
        if (*m.at == '<') {
            m.at++;
            read_tag(&m);
            if (m.depth && strcmp(m.open[m.depth - 1], "style") == 0)
                m.at = strstr(m.at, "</style>");
        } else if (*m.at == '&') {
            size_t n = strcspn(m.at, ";");
            cr_assert(n < 8 && m.at[n] == ';', "bare &: %.30s", m.at);
            m.at += n;
        } else {
            cr_assert(*m.at != '>', "bare > before %.60s", m.at);
            m.at++;
        }
    }
    cr_assert_eq(m.depth, 0, "<%s> stays open", m.depth ? m.open[m.depth - 1] : "");
    return m.elements;
}

static void check_self_contained(const char *html) {
    static const char *const outside[] = {"http:",   "https:", "src=\"/", "<script",
                                          "<link",   "url(",   "@import", "//cdn",
                                          "<iframe", "onload", "nan",     "inf\""};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        cr_assert_null(strstr(html, outside[i]), "contains %s", outside[i]);
    for (const char *s = html; (s = strstr(s, "src=\"")); s++)
        cr_assert_eq(strncmp(s + 5, "data:image/png;base64,", 22), 0);
}

static char *read_page(const char *path) {
    uint8_t *data;
    size_t size;
    mg_error err = {0};
    cr_assert_eq(mg_file_read(path, 0, &data, &size, &err), MG_OK, "%s", err.message);
    return (char *)data;
}

static int count(const char *html, const char *what) {
    int n = 0;
    for (const char *s = html; (s = strstr(s, what)); s++) n++;
    return n;
}

Test(report, training) {
    mg_report_train r;
    mg_report_predict p;
    mg_error err = {0};
    report_sample(&r, &p);
    char *path = in_folder("train.html");
    cr_assert_eq(mg_report_write_train(path, &r, &err), MG_OK, "%s", err.message);
    char *html = read_page(path);
    cr_assert(check_markup(html) > 500);
    check_self_contained(html);
    cr_assert_eq(count(html, "<img "), 16);
    cr_assert_eq(count(html, "<svg "), 3 + 6 + 4 + 3,
                 "curves, matrices, ROC and so on, calibration");
    const char *words[] = {"not a medical device",
                           "synthetic phantoms",
                           "epoch 9 of 17",
                           "True positives",
                           "False negatives",
                           "False positives",
                           "True negatives",
                           "Pointing game",
                           "Per breast",
                           "F1-best",
                           "40–49",
                           "missing",
                           "&lt;&amp;&quot;&#39;&gt;",
                           "prefers-color-scheme",
                           "Two patients have"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        cr_assert(strstr(html, words[i]), "lacks: %s", words[i]);
    /* The page shows the same figures as the evaluation holds. */
    char auc[16];
    snprintf(auc, sizeof auc, ">%.3f<",
             r.evaluations[1].evaluation->view[0][0].metrics.value[MG_METRIC_ROC_AUC]);
    cr_assert(strstr(html, auc), "lacks the ROC-AUC %s", auc);
    free(html);
    free(path);
}

Test(report, prediction) {
    mg_report_train t;
    mg_report_predict r;
    mg_error err = {0};
    report_sample(&t, &r);
    char *path = in_folder("predict.html");
    cr_assert_eq(mg_report_write_predict(path, &r, &err), MG_OK, "%s", err.message);
    char *html = read_page(path);
    check_markup(html);
    check_self_contained(html);
    cr_assert(strstr(html, "test_images/&lt;script&gt;alert(1)"), "ids are escaped");
    cr_assert(strstr(html, "20 more with lower probability"), "the limit is said");
    double last = 2; /* sorted by probability */
    int rows = 0;
    for (const char *s = html; (s = strstr(s, "<span class=\"bar\">")); rows++) {
        s = strstr(s, "</span>") + 7;
        double probability = strtod(s, NULL);
        cr_assert(probability <= last);
        last = probability;
    }
    cr_assert_eq(rows, 40);
    free(html);
    free(path);
}

/* Where there was no validation loss the training loss decided which weights are kept. */
Test(report, training_without_a_validation_loss) {
    mg_report_train r;
    mg_report_predict p;
    mg_error err = {0};
    report_sample(&r, &p);
    mg_report_epoch epoch = {.epoch = 1,
                             .train_loss = 0.25,
                             .validation_loss = (double)NAN,
                             .learning_rate = 0.001,
                             .validation_f1 = (double)NAN};
    r.epochs = &epoch, r.epoch_count = 1, r.best_epoch = 1;
    char *path = in_folder("train.html");
    cr_assert_eq(mg_report_write_train(path, &r, &err), MG_OK, "%s", err.message);
    char *html = read_page(path);
    cr_expect(strstr(html, "lowest training loss, 0.2500 (there was no validation loss"));
    cr_expect_null(strstr(html, "loss, nan"));
    free(html);
    free(path);
}

Test(report, an_empty_run_is_still_a_page) {
    mg_report_train t = {0};
    mg_report_predict p = {0};
    mg_error err = {0};
    char *path = in_folder("empty.html");
    cr_assert_eq(mg_report_write_train(path, &t, &err), MG_OK, "%s", err.message);
    char *html = read_page(path);
    check_markup(html);
    cr_assert_null(strstr(html, "(null)"));
    free(html);
    cr_assert_eq(mg_report_write_predict(path, &p, &err), MG_OK, "%s", err.message);
    html = read_page(path);
    check_markup(html);
    cr_assert_null(strstr(html, "(null)"));
    free(html);
    free(path);
    cr_assert_neq(mg_report_write_train("/nowhere/at/all/report.html", &t, &err), MG_OK);
}

Test(report, one_class_only_has_no_curves) {
    double p[] = {0.1, 0.7, 0.4};
    uint8_t y[] = {0, 0, 0};
    mg_evaluation e;
    mg_evaluation_options o = {.bootstrap = {.resamples = 20}};
    cr_assert_eq(
        mg_evaluate(&(mg_eval_set){.count = 3, .probability = p, .label = y}, &o, &e, NULL), MG_OK);
    mg_report_evaluation level = {.name = "Per breast", .unit = "breasts", .evaluation = &e};
    mg_report_train t = {.evaluations = &level, .evaluation_count = 1};
    char *path = in_folder("one.html");
    cr_assert_eq(mg_report_write_train(path, &t, NULL), MG_OK);
    char *html = read_page(path);
    check_markup(html);
    check_self_contained(html);
    cr_assert(strstr(html, "same label"));
    mg_evaluation_free(&e);
    free(html);
    free(path);
}

Test(report, plots_as_files) {
    mg_report_train t;
    mg_report_predict p;
    mg_error err = {0};
    report_sample(&t, &p);
    cr_assert_eq(mg_report_write_plots(folder, &t, &err), MG_OK, "%s", err.message);
    const char *names[] = {"learning_curves.png",
                           "learning_rate.png",
                           "roc.png",
                           "precision_recall.png",
                           "precision_recall_balanced.png",
                           "calibration_images.png",
                           "confusion_breasts.png",
                           "confusion_images_balanced.png"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = in_folder(names[i]);
        mg_png png;
        cr_assert_eq(mg_png_read(path, &png, &err), MG_OK, "%s", err.message);
        cr_assert(png.width == 3 * (360 + 28) && png.height > 400 && png.channels == 3);
        const uint8_t *pixel = png.pixels;
        size_t dark = 0, n = (size_t)png.width * png.height;
        for (size_t k = 0; k < n; k++) dark += pixel[3 * k] < 100 && pixel[3 * k + 2] < 100;
        cr_assert(dark > n / 500 && dark < n / 4, "%s: text and axes are there", names[i]);
        mg_png_free(&png);
        free(path);
    }
}

Test(text, escapes_and_repairs) {
    mg_text t = {0};
    mg_text_escaped(&t, "<a href=\"x\">&'\x01é\xff\xc0\xaf\xed\xa0\x80z");
    cr_assert_str_eq(t.data, "&lt;a href=&quot;x&quot;&gt;&amp;&#39; é\xef\xbf\xbd\xef\xbf\xbd"
                             "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
    mg_text_free(&t);
}

Test(text, base64_known_answers) { /* RFC 4648, section 10 */
    const char *in[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
    const char *out[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    for (size_t i = 0; i < 7; i++) {
        mg_text t = {0};
        mg_text_base64(&t, in[i], strlen(in[i]));
        cr_assert_str_eq(t.data, out[i]);
        mg_text_free(&t);
    }
}
