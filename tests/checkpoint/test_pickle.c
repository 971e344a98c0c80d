/* Hostile pickles: each is refused with a clear message. They ride in the legacy format, whose
 * object is a bare pickle. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/weights.h"

/* magic number, protocol 1001, system {} */
#define HEAD                                                                                       \
    "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."                                    \
    "\x80\x02M\xe9\x03.\x80\x02}."
#define GLOBAL_DICT "ccollections\nOrderedDict\n"
#define STORAGE(count, view)                                                                       \
    "(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0"                                         \
    "7X\x03\0\0\0"                                                                                 \
    "cpu" count view "tQ"
#define REBUILD "ctorch._utils\n_rebuild_tensor_v2\n"
/* {"w": tensor} with this storage, offset, shape, stride; key "7" with four floats */
#define TENSOR(storage, offset, shape, stride)                                                     \
    "\x80\x02}X\x01\0\0\0w" REBUILD "(" storage offset shape stride "\x89" GLOBAL_DICT ")RtRs."
#define KEYS                                                                                       \
    "\x80\x02]X\x01\0\0\0"                                                                         \
    "7a."
#define DATA                                                                                       \
    "\x04\0\0\0\0\0\0\0"                                                                           \
    "\0\0\0\0\0\0\x80\x3f\0\0\0\0\0\0\0\0"
#define BYTES(text) text, sizeof(text) - 1

static mg_weights *run(const char *object, size_t size, const char *rest, size_t rest_size,
                       mg_error *err) {
    size_t head = sizeof HEAD - 1;
    char *bytes = malloc(head + size + rest_size);
    memcpy(bytes, HEAD, head);
    memcpy(bytes + head, object, size);
    memcpy(bytes + head + size, rest, rest_size);
    mg_error_clear(err);
    mg_weights *w = mg_weights_open_memory(bytes, head + size + rest_size, err);
    if (w) { /* while the bytes are there */
        float v[4];
        const mg_stored_tensor *t = mg_weights_at(w, 0);
        cr_assert_eq(mg_stored_to_f32(t, v, t->count, err), MG_OK);
    }
    free(bytes);
    return w;
}

Test(pickle, a_good_one_first) {
    mg_error err = {0};
    mg_weights *w = run(BYTES(TENSOR(STORAGE("K\x04", ""), "K\x01", "K\x03\x85", "K\x01\x85")),
                        BYTES(KEYS DATA), &err);
    cr_assert(w, "%s", err.message);
    cr_assert_eq(mg_weights_at(w, 0)->count, 3);
    mg_weights_close(w);
}

typedef struct attack {
    const char *object;
    size_t size;
    const char *says;
} attack;

static void refused(const attack *attacks, size_t n) {
    for (size_t i = 0; i < n; i++) {
        mg_error err = {0};
        cr_assert_null(run(attacks[i].object, attacks[i].size, BYTES(KEYS DATA), &err),
                       "number %zu was read", i);
        cr_assert(strstr(err.message, attacks[i].says), "number %zu gives: %s", i, err.message);
    }
}

Test(pickle, programs) {
    static const attack attacks[] = {
        {BYTES("\x80\x02"
               "cos\nsystem\nX\x02\0\0\0id\x85R."),
         "refused: 'os.system' is not on the list"},
        {BYTES("\x80\x02"
               "cbuiltins\neval\n."),
         "refused: 'builtins.eval'"},
        {BYTES("\x80\x02"
               "ccollections\nCounter\n)R."),
         "refused: 'collections.Counter'"},
        {BYTES("\x80\x02"
               "ctorch\nstorage.\x01\xff\n."),
         "refused: 'torch.storage.?"
         "?'"},
        {BYTES("\x80\x02"
               "ctorch\nFloatStorage\n)R."),
         "storage wrongly"},
        {BYTES("\x80\x02"
               "c"
               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n."),
         "name is too long"},
        {BYTES("\x80\x04\x95\0\0\0\0\0\0\0\0."), "protocol 4"},
        {BYTES("\x80\x02\x81."), "instruction 0x81"},
        {BYTES("\x80\x02i."), "instruction 0x69"},
        {BYTES("\x80\x02}}R."), "no function"},
        {BYTES("\x80\x02)}b."), "attributes"},
        {BYTES("\x80\x02K\x01Q."), "storage wrongly"},
        {BYTES("\x80\x02" GLOBAL_DICT "K\x01\x85R."), "dictionary wrongly"},
    };
    refused(attacks, sizeof attacks / sizeof attacks[0]);
}

Test(pickle, stack_and_memo) {
    static const attack attacks[] = {
        {BYTES("\x80\x02."), "stack is empty"},
        {BYTES("\x80\x02(."), "stack is empty"},
        {BYTES("\x80\x02K\x01\x86."), "stack is empty"},
        {BYTES("\x80\x02t."), "no MARK"},
        {BYTES("\x80\x02}K\x01u."), "no MARK"},
        {BYTES("\x80\x02}(K\x01u."), "no dictionary"},
        {BYTES("\x80\x02]K\x01K\x02s."), "no dictionary"},
        {BYTES("\x80\x02}K\x01"
               "a."),
         "no list"},
        {BYTES("\x80\x02"
               "a."),
         "no list"},
        {BYTES("\x80\x02s."), "no dictionary"},
        {BYTES("\x80\x02(e."), "no list"},
        {BYTES("\x80\x02](((e."), "no list"},
        {BYTES("\x80\x02(\x85."), "MARK inside"},
        {BYTES("\x80\x02h\x05."), "memo slot 5 is empty"},
        {BYTES("\x80\x02j\xff\xff\xff\xff."), "memo slot 4294967295 is empty"},
        {BYTES("\x80\x02K\x01r\xff\xff\xff\xff."), "memo slot 4294967295 cannot be filled"},
        {BYTES("\x80\x02q\0."), "memo slot 0 cannot be filled"},
        {BYTES("\x80\x02X\xff\xff\xff\xff"
               "a."),
         "ends inside an instruction"},
        {BYTES("\x80\x02T\xff\xff\xff\x7f"
               "a."),
         "ends inside an instruction"},
        {BYTES("\x80\x02\x8a\xff"
               "a."),
         "ends inside an instruction"},
        {BYTES("\x80\x02K\x01."), "no dictionary of tensors"},
        {BYTES("\x80\x02}X\x05\0\0\0modelq\0h\0s."), "no dictionary of tensors"},
        /* a dictionary that contains itself: {"model": <itself>} */
        {BYTES("\x80\x02}q\0X\x05\0\0\0modelh\0s."), "no dictionary of tensors"},
    };
    refused(attacks, sizeof attacks / sizeof attacks[0]);
}

Test(pickle, tensors_out_of_bounds) {
#define MAX_LONG "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"
    static const attack attacks[] = {
        {BYTES(TENSOR(STORAGE("K\x04", ""), "K\0", "K\x05\x85", "K\x01\x85")),
         "beyond its storage"},
        {BYTES(TENSOR(STORAGE("K\x04", ""), "K\x05", "K\0\x85", "K\x01\x85")),
         "beyond its storage"},
        {BYTES(TENSOR(STORAGE("K\x04", ""), "K\x04", ")", ")")), "beyond its storage"},
        {BYTES(TENSOR(STORAGE("K\x04", ""), "K\0", "K\x02\x85", "K\x04\x85")),
         "beyond its storage"},
        {BYTES(TENSOR(STORAGE("K\x04", ""), "K\0", MAX_LONG "K\x02\x86", "K\x01K\x01\x86")),
         "beyond its storage"},
        {BYTES(TENSOR(STORAGE("K\x04", ""), MAX_LONG, "K\x02\x85", MAX_LONG "\x85")),
         "beyond its storage"},
        {BYTES(TENSOR(STORAGE("K\x04", ""), "K\0", "K\x05\x85", "K\0\x85")), "is expanded"},
        {BYTES(TENSOR(STORAGE("K\x04", ""), "K\0", "K\x02\x85", ")")), "tensor wrongly"},
        {BYTES(TENSOR(STORAGE("K\x04", ""), "K\0", "K\x02\x85", "J\xff\xff\xff\xff\x85")),
         "tensor wrongly"},
        {BYTES(TENSOR(STORAGE("K\x04", ""), "J\xff\xff\xff\xff", "K\x02\x85", "K\x01\x85")),
         "tensor wrongly"},
        {BYTES(TENSOR("K\x01", "K\0", "K\x02\x85", "K\x01\x85")), "tensor wrongly"},
        {BYTES(TENSOR(STORAGE("K\x04", ""), "K\0",
                      "(K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01t",
                      "(K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01K\x01t")),
         "9 dimensions"},
        {BYTES(TENSOR(STORAGE("K\x05", ""), "K\0", "K\x02\x85", "K\x01\x85")), "should hold 5"},
        {BYTES(TENSOR(STORAGE(MAX_LONG, ""), "K\0", "K\x02\x85", "K\x01\x85")), "should hold"},
        {BYTES(TENSOR(STORAGE("J\xff\xff\xff\xff", ""), "K\0", "K\x02\x85", "K\x01\x85")),
         "storage wrongly"},
        {BYTES(TENSOR(STORAGE("K\x04", "X\x01\0\0\0"
                                       "8K\x03K\x02\x87"),
                      "K\0", "K\x02\x85", "K\x01\x85")),
         "storage view wrongly"},
        {BYTES(TENSOR(STORAGE("K\x04", "X\x01\0\0\0"
                                       "8K\x02K\x02\x87"),
                      "K\x01", "K\x02\x85", "K\x01\x85")),
         "beyond its storage of 2"},
    };
    refused(attacks, sizeof attacks / sizeof attacks[0]);
}

Test(pickle, damaged_storages) {
    static const char good[] = TENSOR(STORAGE("K\x04", ""), "K\0", "K\x02\x85", "K\x01\x85");
    static const struct {
        const char *rest;
        size_t size;
        const char *says;
    } bad[] = {
        {BYTES(""), "ends inside an instruction"},
        {BYTES(KEYS), "ends before its storages"},
        {BYTES(KEYS "\x04\0\0\0\0\0\0\0"
                    "1234"),
         "only 4 bytes follow"},
        {BYTES(KEYS "\xff\xff\xff\xff\xff\xff\xff\x7f"
                    "1234"),
         "only 4 bytes follow"},
        {BYTES(KEYS "\xff\xff\xff\xff\xff\xff\xff\xff"
                    "1234"),
         "only 4 bytes follow"},
        {BYTES("\x80\x02]."), "lacks the storage 7"},
        {BYTES("\x80\x02]X\x01\0\0\0"
               "9a." DATA),
         "nobody uses"},
        {BYTES("\x80\x02](X\x01\0\0\0"
               "7X\x01\0\0\0"
               "7e." DATA DATA),
         "listed twice"},
        {BYTES("\x80\x02}." DATA), "no list of storages"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mg_error err = {0};
        cr_assert_null(run(good, sizeof good - 1, bad[i].rest, bad[i].size, &err), "number %zu", i);
        cr_assert(strstr(err.message, bad[i].says), "number %zu gives: %s", i, err.message);
    }
}

/* Bombs: work and memory stay in proportion to the file, and nothing recurses. */
Test(pickle, bombs, .timeout = 60) {
    static const struct {
        const char *piece, *says;
    } bombs[] = {
        {"(", "stack grows beyond"},
        {"}", "stack grows beyond"},
        {"]\x85\x85\x85", "makes more than"},
        {"K\x01\x85\x85\x85\x85\x85\x85\x85\x85\x85\x85\x85\x85\x85", "makes more than"},
    };
    size_t n = 20 << 20;
    char *object = malloc(n);
    for (size_t b = 0; b < sizeof bombs / sizeof bombs[0]; b++) {
        size_t length = strlen(bombs[b].piece);
        memcpy(object, "\x80\x02", 2);
        for (size_t i = 2; i < n; i++) object[i] = bombs[b].piece[(i - 2) % length];
        mg_error err = {0};
        cr_assert_null(run(object, n, BYTES(KEYS DATA), &err));
        cr_assert(strstr(err.message, bombs[b].says), "bomb %zu gives: %s", b, err.message);
    }
    /* A tuple nested three million deep is legal; it is no checkpoint. */
    memcpy(object, "\x80\x02)", 3);
    memset(object + 3, '\x85', 3000000);
    object[3000003] = '.';
    mg_error err = {0};
    cr_assert_null(run(object, 3000004, BYTES(KEYS DATA), &err));
    cr_assert(strstr(err.message, "no dictionary of tensors"), "%s", err.message);
    free(object);
}

/* 20,000 dictionaries of five bytes each, every one a copy of the same list of 10,000 pairs. */
Test(pickle, memory_is_in_proportion, .timeout = 60) {
    enum { PAIRS = 10000, COPIES = 20000 };
    static char object[200 + 2 * PAIRS + 5 * COPIES];
    char *at = object;
#define PUT(text) (memcpy(at, text, sizeof(text) - 1), at += sizeof(text) - 1)
    PUT("\x80\x02NN\x86q\x00]q\x01(");
    for (int i = 0; i < PAIRS; i++) PUT("h\x00");
    PUT("e\x85q\x02"
        "ccollections\nOrderedDict\nq\x03");
    for (int i = 0; i < COPIES; i++) PUT("h\x03h\x02R");
    PUT(".");
    mg_error err = {0};
    cr_assert_null(run(object, (size_t)(at - object), BYTES(KEYS DATA), &err));
    cr_assert(strstr(err.message, "far more memory than its size"), "%s", err.message);
}

Test(pickle, duplicate_names) {
#define ENTRY "X\x01\0\0\0w" REBUILD "(" STORAGE("K\x04", "") "K\0K\x02\x85K\x01\x85\x89}tR"
    mg_error err = {0};
    cr_assert_null(run(BYTES("\x80\x02}(" ENTRY ENTRY "u."), BYTES(KEYS DATA), &err));
    cr_assert(strstr(err.message, "tensor w occurs twice"), "%s", err.message);
}
