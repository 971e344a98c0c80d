# mammograd: one Makefile, GNU make, gcc or clang.  `make help` lists the targets.
#
#   make                  libraries and apps, optimised
#   make SAN=address,undefined test     the same under sanitizers, in a build tree of its own
#   make CC=clang BUILD=build/clang     another compiler, another tree
#
# New .c files in a layer's folder are picked up by themselves.

CC       ?= cc
CXX      ?= c++
AR       ?= ar
PREFIX   ?= /usr/local
DESTDIR  ?=
SAN      ?=
comma    := ,
BUILD    ?= build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))
PYTHON   ?= python3
VERSION  := 0.1.0

OPT      ?= -O2 -g
STD      := -std=c17 -D_GNU_SOURCE
WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
# Rounding must not depend on the compiler's taste: no contraction, no fast-math, anywhere.
FP       := -ffp-contract=off -fno-math-errno
SANFLAGS := $(if $(SAN),-DMG_SANITIZE -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
CFLAGS   ?=
# Kernels: sanitizers make -O3 take minutes a file and check nothing more.
KOPT     ?= $(if $(SAN),-O1,-O3)
CPPFLAGS += -I. -DMG_VERSION='"$(VERSION)"'
ALL_CFLAGS = $(if $(AMX),-DMG_HAVE_AMX) $(STD) $(OPT) $(WARN) $(FP) $(SANFLAGS) $(CFLAGS)
# The parsers and everything that handles sizes from files: implicit narrowing is an error.
CONVERSION_DIRS := dicom data tensor optim autograd
LDLIBS   := -lpng -lopenjp2 -lcharls -lz -lpthread -ldl -lm

# --- sources -------------------------------------------------------------------------------------
LAYERS   := tensor ops autograd nn optim dicom data
LIB_SRC  := $(foreach d,$(LAYERS),$(wildcard $(d)/*.c))
OPS_SRC  := $(filter-out ops/op.c ops/table.c ops/device.c ops/check.c ops/check_gradient.c ops/check_device.c,$(wildcard ops/*.c))
CPU_ONCE := $(wildcard ops/cpu/dispatch.c ops/cpu/bf16_units.c)
CPU_SRC  := $(filter-out $(CPU_ONCE),$(wildcard ops/cpu/*.c))
APP_LIB  := $(wildcard apps/lib/*.c)
APP_MAIN := $(wildcard apps/*.c)
APPS     := $(APP_MAIN:.c=)

# Each CPU kernel is one source, compiled once per instruction set (ops/cpu/vec.h).
ifneq (,$(findstring x86_64,$(shell $(CC) -dumpmachine)))
ISAS := scalar avx2 avx512
# Compilers older than gcc 11 or clang 12, and assemblers of that age, do not know AMX.
AMX  := $(shell printf 'void f(void) { __asm__("tdpbf16ps %%tmm0, %%tmm1, %%tmm2"); }' | \
          $(CC) -mamx-tile -mamx-bf16 -c -x c - -o /dev/null 2>/dev/null && echo yes)
else
ISAS := scalar
endif
ISA_scalar := -DMG_ISA_SCALAR -DMG_ISA=scalar
ISA_avx2   := -DMG_ISA_AVX2 -DMG_ISA=avx2 -mavx2 -mfma -mf16c
ISA_avx512 := -DMG_ISA_AVX512 -DMG_ISA=avx512 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma -mf16c -mprefer-vector-width=512
# The bfloat16 kernels exist once more with AVX512-BF16 (ops/cpu/bf16.h).
ISA_avx512bf16 := $(subst -DMG_ISA=avx512,-DMG_ISA=avx512bf16,$(ISA_avx512)) -mavx512bf16
# And on tiles (ops/cpu/tiles.h), AMX or the same in C for tests; some f32 kernels also exist on
# tiles by halves (ops/cpu/gemm_halves.h).
AMXFLAGS   := -mamx-tile -mamx-bf16
ISA_amx    := $(subst -DMG_ISA=avx512bf16,-DMG_ISA=amx -DMG_TILES,$(ISA_avx512bf16)) $(AMXFLAGS)
ISA_tiles  := $(subst -DMG_ISA=scalar,-DMG_ISA=tiles -DMG_TILES,$(ISA_scalar))
ISA_halves := $(subst -DMG_ISA=amx,-DMG_ISA=halves -DMG_GEMM_HALVES,$(ISA_amx))
ISA_halves_in_c := $(subst -DMG_ISA=tiles,-DMG_ISA=halves_in_c -DMG_GEMM_HALVES,$(ISA_tiles))
BF16_ISAS  := tiles $(if $(filter avx512,$(ISAS)),avx512bf16 $(if $(AMX),amx))
HALVES_ISAS:= halves_in_c $(if $(AMX),halves)
HALVES_SRC := $(addprefix ops/cpu/,mbconv.c pointwise_conv.c norm_gate_project.c)
BF16_SRC   := $(wildcard ops/cpu/*_bf16.c)

OBJ      := $(LIB_SRC:%.c=$(BUILD)/obj/%.o) \
            $(OPS_SRC:%.c=$(BUILD)/obj/%.f32.o) \
            $(CPU_ONCE:%.c=$(BUILD)/obj/%.o) \
            $(foreach i,$(ISAS),$(CPU_SRC:%.c=$(BUILD)/obj/%.$(i).o)) \
            $(foreach i,$(BF16_ISAS),$(BF16_SRC:%.c=$(BUILD)/obj/%.$(i).o)) \
            $(foreach i,$(HALVES_ISAS),$(HALVES_SRC:%.c=$(BUILD)/obj/%.$(i).o))
LIB      := $(BUILD)/libmammograd.a
APPLIB   := $(BUILD)/libmgapps.a

TEST_SRC := $(wildcard tests/*/test_*.c)
LONG_SRC := $(wildcard tests/*/long_*.c)
TESTS    := $(TEST_SRC:%.c=$(BUILD)/%)
LONGS    := $(LONG_SRC:%.c=$(BUILD)/%)
TEST_LIB := $(wildcard tests/lib/*.c)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
BENCH_SRC:= $(wildcard bench/bench_*.c)
BENCHES  := $(BENCH_SRC:%.c=$(BUILD)/%)

.PHONY: cuda all lib apps examples deps demo test built-tests test-long gradcheck check format bench docs fuzz tsan install clean help
.DEFAULT_GOAL := all
.SECONDARY:
.DELETE_ON_ERROR:

all: lib apps                                    ## libraries and apps
lib: $(LIB)
apps: $(APPS)

# --- compile -------------------------------------------------------------------------------------
DEPGEN = -MMD -MP -MF $(@:.o=.d)
conv   = $(if $(filter $(firstword $(subst /, ,$<)),$(CONVERSION_DIRS)),-Wconversion -Wno-sign-conversion)

$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CPPFLAGS) $(ALL_CFLAGS)' | cmp -s - $@ || echo '$(CC) $(CPPFLAGS) $(ALL_CFLAGS)' > $@
FORCE:

# One rule for each instruction set of the CPU kernels.
define isa_rule
$(BUILD)/obj/ops/cpu/%.$(1).o: ops/cpu/%.c $(BUILD)/flags
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CPPFLAGS) $$(ALL_CFLAGS) $$(KOPT) $$(ISA_$(1)) $$(DEPGEN) -c $$< -o $$@
endef
$(foreach i,$(ISAS) $(BF16_ISAS) $(HALVES_ISAS),$(eval $(call isa_rule,$(i))))
# The reference of an op is written over `real` and compiled twice: f64 (X.o) and f32 (X.f32.o).
$(BUILD)/obj/ops/%.f32.o: ops/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -DMG_REAL_F32 $(DEPGEN) -c $< -o $@
$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(conv) $(DEPGEN) -c $< -o $@

$(LIB): $(OBJ)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^
$(APPLIB): $(APP_LIB:%.c=$(BUILD)/obj/%.o)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^
$(APPS): apps/%: $(BUILD)/bin/%
	@cp -f $< $@
$(BUILD)/bin/%: $(BUILD)/obj/apps/%.o $(APPLIB) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $< $(APPLIB) $(LIB) $(LDLIBS) -o $@

# Small programs over mammograd.h, built as a user would build them.
EXAMPLES := $(patsubst %.c,$(BUILD)/%,$(wildcard examples/*.c))
$(BUILD)/examples/%: $(BUILD)/obj/examples/%.o $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $^ $(LDLIBS) -o $@
examples: $(EXAMPLES)                            ## small programs over mammograd.h

# --- CUDA ----------------------------------------------------------------------------------------
# The device "cuda" is a plugin: only `--device cuda` opens it. Spills and local memory are errors.
NVCC     ?= $(shell command -v nvcc 2>/dev/null)
CUDA_HOME ?= $(patsubst %/bin/nvcc,%,$(NVCC))
CUDA_SRC := $(wildcard cuda/*.cu cuda/lab/*.cu cuda/lab/*/*.cu)
CUDA_LIB := $(BUILD)/libmammograd_cuda.so
NVFLAGS  := -std=c++17 -O3 -lineinfo -fmad=true \
            -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=[sm_90,compute_90] \
            -Xptxas -v,--warn-on-spills,--warn-on-local-memory-usage,--warning-as-error \
            -Xcompiler -fPIC,-Wall,-Wno-unknown-pragmas
# What kernels' host code shares with the program, built for a shared library.
PIC_SRC  := ops/op.c tensor/tensor.c tensor/error.c tensor/rng.c
PIC_OBJ  := $(PIC_SRC:%.c=$(BUILD)/pic/%.o)
$(BUILD)/pic/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -fPIC $(DEPGEN) -c $< -o $@
# Preprocessing gives the CPU's bits: products are rounded before they are added.
$(BUILD)/cuda/cuda/imaging%.o: NVFLAGS := $(subst -fmad=true,-fmad=false,$(NVFLAGS))
$(BUILD)/cuda/%.o: %.cu
	@mkdir -p $(@D)
	$(Q)$(NVCC) $(NVFLAGS) -I. -MMD -MP -MF $(@:.o=.d) -c $< -o $@ 2> $(@:.o=.ptxas) || \
	  { grep -v '^ptxas info' $(@:.o=.ptxas) >&2; exit 1; }
$(CUDA_LIB): $(CUDA_SRC:%.cu=$(BUILD)/cuda/%.o) $(PIC_OBJ)
	$(Q)$(NVCC) -shared -Xlinker --no-undefined -o $@ $^ -lcublas -lpthread -ldl
ifneq (,$(NVCC))
cuda: $(CUDA_LIB)                                ## the plugin behind --device cuda (needs nvcc)
else
cuda:
	@echo 'cuda: skipped, nvcc was not found (set NVCC or install the CUDA Toolkit)'
endif

include tests/simt/simt.mk
simt:                                            ## the device --device simt: cuda/*.cu on a CPU, and its checker
simt-san:                                        ## tests/cuda under ASan and UBSan, threads in random order
simt-mutants:                                    ## does breaking a line of cuda/ make a test fail?

# --- tests ---------------------------------------------------------------------------------------
# tests/<area>/test_*.c are Criterion suites run by `make test`; long_*.c by `make test-long`.
$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(TEST_LIB:%.c=$(BUILD)/obj/%.o) $(APPLIB) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(filter %.o,$^) $(APPLIB) $(LIB) -lcriterion $(LDLIBS) -o $@

JOBS ?= $(shell nproc 2>/dev/null || echo 1)
# The plugins are made where their compilers are: nvcc's zero spills and zero local memory are a test.
built-tests: apps examples $(TESTS) simt $(if $(SAN),,cuda)
test: $(BUILD)/.deps                             ## the test suite (minutes)
	@! git rev-parse --git-dir >/dev/null 2>&1 || tools/check.sh --quick
	@$(MAKE) --no-print-directory -j$(JOBS) built-tests
	@BUILD=$(BUILD) MG_APPS=$(BUILD)/bin tests/run.sh $(TESTS)
test-long: test $(LONGS)                         ## slow suites, sanitizers, mutants, 60 s of every fuzz target
	@BUILD=$(BUILD) MG_APPS=$(BUILD)/bin tests/run.sh $(LONGS)
	@BUILD=$(BUILD) MG_APPS=$(BUILD)/bin MG_KILLS=20 MG_FILES=1000 tests/run.sh \
	  $(BUILD)/tests/apps/test_train $(BUILD)/tests/apps/test_predict
	@$(MAKE) tsan
	@$(MAKE) --no-print-directory simt-san
	@$(MAKE) --no-print-directory simt-mutants
	@$(MAKE) fuzz FUZZ_SECONDS=60
# Criterion does not run under ThreadSanitizer: these are plain programs.
tsan:                                            ## thread pool and loader under ThreadSanitizer
	@$(MAKE) --no-print-directory SAN=thread build/san-thread/tests/tensor/tsan_pool \
	  build/san-thread/tests/data/tsan_loader
	build/san-thread/tests/tensor/tsan_pool && build/san-thread/tests/data/tsan_loader
gradcheck: $(BUILD)/tests/ops/test_gradcheck     ## gradient check of every op, with planted bugs
	@$(BUILD)/tests/ops/test_gradcheck

FUZZ_SECONDS ?= 300
fuzz:                                            ## every parser under libFuzzer (clang), FUZZ_SECONDS each
	@tests/fuzz/run.sh $(FUZZ_SECONDS) $(FUZZ_SRC)

check:                                           ## format, layers, file sizes, static analysis
	@tools/check.sh
format:                                          ## clang-format everything in place
	@clang-format -i $$(git ls-files '*.c' '*.h' '*.cc' '*.cu' '*.cuh')

# --- everything else -----------------------------------------------------------------------------
$(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(APPLIB) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $< $(APPLIB) $(LIB) $(LDLIBS) -o $@
bench: apps $(BENCHES)                           ## timings on this machine
	@for b in $(BENCHES); do echo "# $$b"; $$b || exit 1; done

$(BUILD)/.deps: packages.txt
	@mkdir -p $(@D)
	@tools/deps.sh packages.txt
	@touch $@
deps:                                            ## install the missing packages of packages.txt
	@tools/deps.sh packages.txt
	@mkdir -p $(BUILD) && touch $(BUILD)/.deps

demo: $(BUILD)/.deps                             ## phantom data -> train -> predict -> report
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@tools/demo.sh

docs: apps                                       ## a page per op, from the op table
	@apps/audit --docs docs/ops

install: all                                     ## library, headers, pkg-config, apps, man pages
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include/mammograd
	install -m 644 $(LIB) $(DESTDIR)$(PREFIX)/lib/
	for d in tensor ops autograd nn optim dicom data; do \
	  install -d $(DESTDIR)$(PREFIX)/include/mammograd/$$d; \
	  install -m 644 $$d/*.h $(DESTDIR)$(PREFIX)/include/mammograd/$$d/; done
	install -m 644 mammograd.h $(DESTDIR)$(PREFIX)/include/mammograd/
	for l in $(wildcard $(CUDA_LIB)); do install -d $(DESTDIR)$(PREFIX)/lib/mammograd && \
	  install -m 755 $$l $(DESTDIR)$(PREFIX)/lib/mammograd/; done
	for a in $(APPS); do install -m 755 $$a $(DESTDIR)$(PREFIX)/bin/mammograd-$$(basename $$a); done
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' tools/mammograd.pc.in \
	  > $(DESTDIR)$(PREFIX)/lib/pkgconfig/mammograd.pc
	tools/man.sh $(DESTDIR)$(PREFIX)/share/man/man1 $(APPS)

clean:                                           ## remove everything built
	rm -rf build $(APPS) demo

help:                                            ## this list
	@awk -F'## ' '/^[a-z-]+:.*## /{split($$1,t,":"); printf "  %-12s %s\n", t[1], $$2}' Makefile

Q = $(if $(V),,@echo "  $(if $(filter %.o,$@),cc,ld)  $@";)
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
