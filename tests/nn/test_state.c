/* Weights to a file and back, and files whose numbers are none. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "nn/state.h"
#include "tests/lib/scratch.h"

static const mg_stage_row two_stages[] = {{3, 1, 1, 8, 1}, {5, 2, 4, 8, 2}};

typedef struct network {
    mg_context *ctx;
    mg_arch arch;
    mg_efficientnet *net;
} network;

static network make(uint64_t seed) {
    network n = {.ctx = mg_context_create(MG_DEVICE_CPU, MG_F32, NULL, 0),
                 .arch = mg_arch_custom("tiny", 6, two_stages, 2, 12)};
    n.net = mg_efficientnet_create(n.ctx, &n.arch, &(mg_efficientnet_options){0});
    cr_assert_not_null(n.net);
    mg_efficientnet_initialise(n.net, seed);
    return n;
}

static void destroy(network n) {
    mg_efficientnet_destroy(n.net);
    mg_context_destroy(n.ctx);
}

static mg_tensor *parameter(network n, mg_parameter_kind kind) {
    for (int k = 0; k < n.net->parameters; k++)
        if (n.net->parameter[k].kind == kind) return n.net->parameter[k].tensor;
    cr_assert_fail("no such parameter");
    return NULL;
}

static mg_status save_and_load(network from, network to, mg_error *err) {
    const char *path = scratch_path("weights.safetensors");
    mg_status s = mg_state_save(path, from.net, NULL, NULL, 0, NULL, 0, err);
    mg_weights *file = s ? NULL : mg_weights_open(path, err);
    if (!file) return err->code;
    mg_key_import import;
    s = mg_state_probe(file, &to.arch, 3, 1, MG_KEYS_AUTO, &import, err);
    if (!s) {
        s = mg_state_load(to.net, &import, err);
        mg_key_import_free(&import);
    }
    mg_weights_close(file);
    return s;
}

TestSuite(state, .init = (void (*)(void))scratch_make, .fini = scratch_remove);

Test(state, there_and_back) {
    network a = make(1), b = make(2);
    mg_error err = {0};
    a.net->batches_tracked = 1234567;
    cr_assert_eq(save_and_load(a, b, &err), MG_OK, "%s", err.message);
    cr_assert_eq(b.net->batches_tracked, 1234567);
    for (int k = 0; k < a.net->parameters; k++) {
        const mg_tensor *p = a.net->parameter[k].tensor, *q = b.net->parameter[k].tensor;
        cr_assert_arr_eq((char *)p->data, (char *)q->data,
                         (size_t)mg_shape_elements(&p->shape) * sizeof(float));
    }
    destroy(a);
    destroy(b);
}

Test(state, numbers_that_are_none) {
    static const struct {
        mg_parameter_kind kind;
        float value;
        const char *says;
    } cases[] = {{MG_KIND_DEPTHWISE, NAN, "holds a NaN or an infinity"},
                 {MG_KIND_POINTWISE, -INFINITY, "holds a NaN or an infinity"},
                 {MG_KIND_RUNNING_VAR, -1e-6f, "running_var holds a negative variance"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        network a = make(1), b = make(2);
        mg_error err = {0};
        ((float *)parameter(a, cases[i].kind)->data)[3] = cases[i].value;
        cr_assert_eq(save_and_load(a, b, &err), MG_ERR_NUMERIC);
        cr_assert(strstr(err.message, cases[i].says), "%s", err.message);
        destroy(a);
        destroy(b);
    }
    network a = make(1), b = make(2);
    mg_error err = {0};
    a.net->batches_tracked = -3;
    cr_assert_eq(save_and_load(a, b, &err), MG_ERR_FORMAT);
    cr_assert(strstr(err.message, "is no count of batches"), "%s", err.message);
    destroy(a);
    destroy(b);
}
