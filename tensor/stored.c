#include "tensor/stored.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the readers assume a little-endian host");

static const struct {
    const char *name;
    size_t size;
} types[MG_STORED_TYPE_COUNT] = {
    {"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},
    {"I32", 4}, {"I16", 2}, {"I8", 1},  {"U8", 1},   {"BOOL", 1},
};

size_t mg_stored_size(mg_stored_type type) { return types[type].size; }
const char *mg_stored_name(mg_stored_type type) { return types[type].name; }

bool mg_stored_type_by_name(const char *name, mg_stored_type *out) {
    for (int i = 0; i < MG_STORED_TYPE_COUNT; i++) {
        if (strcmp(name, types[i].name)) continue;
        *out = (mg_stored_type)i;
        return true;
    }
    return false;
}

char *mg_stored_shape_text(const int64_t *shape, int rank, char *text) {
    int n = snprintf(text, MG_STORED_SHAPE_TEXT, "[");
    for (int i = 0; i < rank; i++)
        n += snprintf(text + n, MG_STORED_SHAPE_TEXT - (size_t)n, i ? ",%lld" : "%lld",
                      (long long)shape[i]);
    snprintf(text + n, MG_STORED_SHAPE_TEXT - (size_t)n, "]");
    return text;
}

static mg_status check_count(const mg_stored_tensor *t, int64_t count, mg_error *err) {
    if (count == t->count) return MG_OK;
    char shape[MG_STORED_SHAPE_TEXT];
    return mg_fail(err, MG_ERR_SHAPE, "%s has shape %s (%lld elements), %lld are wanted", t->name,
                   mg_stored_shape_text(t->shape, t->rank, shape), (long long)t->count,
                   (long long)count);
}

/* The elements in row-major order, like an odometer; `at` is the present one's offset. */
typedef struct walk {
    int64_t index[MG_STORED_MAX_RANK], at;
} walk;

static void step(walk *w, const mg_stored_tensor *t) {
    for (int d = t->rank - 1; d >= 0; d--) {
        w->at += t->stride[d];
        if (++w->index[d] < t->shape[d]) return;
        w->at -= w->index[d] * t->stride[d];
        w->index[d] = 0;
    }
}

/* The present element in the host's byte order. */
static void fetch(const walk *w, const mg_stored_tensor *t, uint8_t *out) {
    size_t size = types[t->type].size;
    const uint8_t *from = t->base + (size_t)w->at * size;
    for (size_t i = 0; i < size; i++) out[i] = from[t->big_endian ? size - 1 - i : i];
}

mg_status mg_stored_copy(const mg_stored_tensor *t, void *out, int64_t count, mg_error *err) {
    mg_status status = check_count(t, count, err);
    if (status || count == 0) return status;
    size_t size = types[t->type].size;
    if (t->bytes) {
        memcpy(out, t->bytes, (size_t)count * size);
        return MG_OK;
    }
    walk w = {0};
    for (int64_t i = 0; i < count; i++, step(&w, t))
        fetch(&w, t, (uint8_t *)out + (size_t)i * size);
    return MG_OK;
}

static double half_to_double(uint16_t half) {
    uint32_t exponent = half >> 10 & 31u, fraction = half & 1023u, bits;
    float value;
    if (exponent == 0) { /* zero or subnormal: fraction * 2^-24, exact */
        value = (float)fraction * 0x1p-24f;
    } else {
        bits = (exponent == 31 ? 255u : exponent + 112u) << 23 | fraction << 13;
        memcpy(&value, &bits, sizeof value);
    }
    return half & 0x8000u ? -(double)value : (double)value;
}

static double bfloat_to_double(uint16_t bfloat) {
    uint32_t bits = (uint32_t)bfloat << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

/* The value of one element, copied from unaligned bytes. */
static double load(mg_stored_type type, const uint8_t *from) {
    union {
        double f64;
        float f32;
        uint16_t u16;
        int64_t i64;
        int32_t i32;
        int16_t i16;
        int8_t i8;
    } u;
    memcpy(&u, from, types[type].size);
    switch (type) {
    case MG_STORED_F64: return u.f64;
    case MG_STORED_F32: return (double)u.f32;
    case MG_STORED_F16: return half_to_double(u.u16);
    case MG_STORED_BF16: return bfloat_to_double(u.u16);
    case MG_STORED_I64: return (double)u.i64;
    case MG_STORED_I32: return u.i32;
    case MG_STORED_I16: return u.i16;
    case MG_STORED_I8: return u.i8;
    case MG_STORED_U8: return *from;
    case MG_STORED_BOOL: return *from != 0;
    case MG_STORED_TYPE_COUNT: break;
    }
    MG_ASSERT(!"a stored type");
    return 0;
}

typedef void (*sink)(void *out, int64_t i, double value);

/* One element at a time, so that no type, stride or byte order needs code of its own. */
static mg_status convert(const mg_stored_tensor *t, void *out, int64_t count, sink put,
                         mg_error *err) {
    mg_status status = check_count(t, count, err);
    if (status) return status;
    size_t size = types[t->type].size;
    walk w = {0};
    for (int64_t i = 0; i < count; i++) {
        uint8_t element[8];
        if (t->bytes) memcpy(element, (const uint8_t *)t->bytes + (size_t)i * size, size);
        else fetch(&w, t, element), step(&w, t);
        put(out, i, load(t->type, element));
    }
    return MG_OK;
}

static void put_f32(void *out, int64_t i, double value) { ((float *)out)[i] = (float)value; }
static void put_f64(void *out, int64_t i, double value) { ((double *)out)[i] = value; }

mg_status mg_stored_to_f32(const mg_stored_tensor *t, float *out, int64_t count, mg_error *err) {
    if (t->type == MG_STORED_F32) return mg_stored_copy(t, out, count, err);
    return convert(t, out, count, put_f32, err);
}

mg_status mg_stored_to_f64(const mg_stored_tensor *t, double *out, int64_t count, mg_error *err) {
    if (t->type == MG_STORED_F64) return mg_stored_copy(t, out, count, err);
    return convert(t, out, count, put_f64, err);
}
