# The emulated device "simt": the same cuda/*.cu, compiled by the C++ compiler against tests/simt.
# Only the headers of the CUDA Toolkit are needed. Included by the Makefile.
#
#   libmammograd_simt.so         fast; under SAN=address,undefined with those sanitizers
#   libmammograd_simt_check.so   kernels instrumented for the emulator's own checker (MG_SIMT=check)

SIMT_HEADERS := $(firstword $(dir $(wildcard $(CUDA_HOME)/include/cuda_runtime.h \
                  /usr/local/cuda/include/cuda_runtime.h /usr/include/cuda_runtime.h)))
SIMT_BOTH    := $(filter-out %/checker.cc %/tsan.cc %/no_checker.cc %/profile.cc %/test_%, \
                  $(wildcard tests/simt/*.cc))
SIMT_OBJ     := $(SIMT_BOTH:%.cc=$(BUILD)/simt/%.o)
SIMT_PLAIN   := $(SIMT_OBJ) $(BUILD)/simt/tests/simt/no_checker.o
SIMT_CHECKED := $(SIMT_OBJ) $(patsubst %.cc,$(BUILD)/simt/%.o, \
                  $(wildcard tests/simt/checker.cc tests/simt/tsan.cc tests/simt/profile.cc))
SIMT_FLAGS    = -std=c++17 -g -Wall -Wextra -Wno-unknown-pragmas -Wno-missing-field-initializers -fPIC -ffp-contract=off \
                -fdebug-prefix-map=$(CURDIR)=. -I. -Itests/simt -isystem $(SIMT_HEADERS)
# Without scalar replacement a float4 stays one access of 16 bytes, as on the device.
SIMT_CHECK    = -O1 -fsanitize=thread -fno-tree-sra
SIMT_LIBS    := $(BUILD)/libmammograd_simt.so $(if $(SAN),,$(BUILD)/libmammograd_simt_check.so)

$(BUILD)/simt/tests/simt/%.o: tests/simt/%.cc
	@mkdir -p $(@D)
	$(Q)$(CXX) $(SIMT_FLAGS) -O3 $(DEPGEN) -c $< -o $@
$(BUILD)/simt/%.o: %.cu
	@mkdir -p $(@D)
	$(Q)$(CXX) $(SIMT_FLAGS) $(if $(SAN),-O1,-O2) $(SANFLAGS) $(DEPGEN) -x c++ -c $< -o $@
$(BUILD)/simt-check/%.o: %.cu
	@mkdir -p $(@D)
	$(Q)$(CXX) $(SIMT_FLAGS) $(SIMT_CHECK) $(DEPGEN) -x c++ -c $< -o $@

# The emulator comes first: its copies of shared inline functions are the ones without instrumentation.
SIMT_LINK = $(CXX) -shared -Wl,-Bsymbolic $(if $(SAN),,-Wl,--no-undefined) $(SANFLAGS) -o $@ $(filter %.o,$^) -lpthread -ldl -lm
$(BUILD)/libmammograd_simt.so: $(SIMT_PLAIN) $(CUDA_SRC:%.cu=$(BUILD)/simt/%.o) $(PIC_OBJ)
	$(Q)$(SIMT_LINK)
$(BUILD)/libmammograd_simt_check.so: $(SIMT_CHECKED) $(CUDA_SRC:%.cu=$(BUILD)/simt-check/%.o) $(PIC_OBJ)
	$(Q)$(SIMT_LINK)

ifneq (,$(SIMT_HEADERS))
simt: $(SIMT_LIBS)
else
simt:
	@echo 'simt: skipped, the headers of the CUDA Toolkit were not found (set CUDA_HOME)'
endif
.PHONY: simt

# --- planted bugs (tests/simt/bugs), run by test_simt_bugs ---------------------------------------
BUGS_SRC     := $(wildcard tests/simt/bugs/*.cu)
BUGS_PLAIN   := $(BUILD)/simt/bugs_plain
BUGS_CHECKED := $(BUILD)/simt-check/bugs_checked
$(BUILD)/simt/tests/simt/bugs/main.o: tests/simt/bugs/main.cc
	@mkdir -p $(@D)
	$(Q)$(CXX) $(SIMT_FLAGS) -O1 $(DEPGEN) -c $< -o $@
$(BUGS_PLAIN): $(SIMT_PLAIN) $(BUILD)/simt/tests/simt/bugs/main.o $(BUGS_SRC:%.cu=$(BUILD)/simt/%.o)
	$(Q)$(CXX) $^ -lpthread -ldl -o $@
$(BUGS_CHECKED): $(SIMT_CHECKED) $(BUILD)/simt/tests/simt/bugs/main.o $(BUGS_SRC:%.cu=$(BUILD)/simt-check/%.o)
	$(Q)$(CXX) $^ -lpthread -ldl -o $@
ifneq (,$(SIMT_HEADERS))
$(BUILD)/tests/simt/test_simt_bugs: $(BUGS_PLAIN) $(BUGS_CHECKED)
else
TESTS := $(filter-out $(BUILD)/tests/simt/%,$(TESTS))
endif

# --- kernels under the compiler's sanitizers -----------------------------------------------------
# In a build tree of its own, threads in random order, streams as late as allowed. The counts of
# accesses need the checker, which the sanitizers exclude.
ifneq (,$(SIMT_HEADERS))
SIMT_SAN := $(filter-out %/test_sectors %/test_simt_counts,$(filter $(BUILD)/tests/cuda/%,$(TESTS)))
simt-san:
	@$(MAKE) --no-print-directory -j$(JOBS) SAN=address,undefined simt-san-run
simt-san-built: simt $(SIMT_SAN)
simt-san-run: simt-san-built
	@BUILD=$(BUILD) SIMT_ORDER=rand SIMT_ASYNC=1 tests/run.sh $(SIMT_SAN)
else
simt-san: simt
endif
.PHONY: simt-san simt-san-built simt-san-run

# --- mutation test of cuda/: does breaking a line make a test fail? -------------------------------
MUTANTS    ?= 110
MUTANTS_SAN = $(BUILD)/san-address-undefined
SAN_OBJECTS = $(patsubst $(BUILD)/%,$(MUTANTS_SAN)/%, \
                $(SIMT_PLAIN) $(CUDA_SRC:%.cu=$(BUILD)/simt/%.o) $(PIC_OBJ))
ifneq (,$(SIMT_HEADERS))
SIMT_TESTS := $(filter $(BUILD)/tests/cuda/%,$(TESTS))
simt-mutants: simt $(SIMT_TESTS)
	@$(MAKE) --no-print-directory -j$(JOBS) SAN=address,undefined BUILD=$(MUTANTS_SAN) simt-san-built
	@BUILD=$(BUILD) CXX='$(CXX)' COMPILE='$(CXX) $(SIMT_FLAGS) $(SIMT_CHECK)' \
	  LINK_OBJECTS='$(SIMT_CHECKED) $(CUDA_SRC:%.cu=$(BUILD)/simt-check/%.o) $(PIC_OBJ)' \
	  SAN_BUILD=$(MUTANTS_SAN) SAN_LINK_OBJECTS='$(SAN_OBJECTS)' \
	  SAN_COMPILE='$(CXX) $(SIMT_FLAGS) -O1 -fsanitize=address,undefined -fno-sanitize-recover=all' \
	  tests/simt/mutants.sh $(MUTANTS) $(PART) > $(BUILD)/mutants.log
	@grep -v '^caught' $(BUILD)/mutants.log; tests/simt/mutants.sh --summary < $(BUILD)/mutants.log
else
simt-mutants: simt
endif
.PHONY: simt-mutants
