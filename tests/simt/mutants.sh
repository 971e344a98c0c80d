#!/bin/sh
# Mutation test of cuda/: breaks one line at a time, runs the tests of that file in the emulator and
# prints whether they notice. A survivor is either equivalent (mutants.known gives the reason) or a
# hole in the tests.
#
#   tests/simt/mutants.sh [COUNT] [PART/PARTS]    `make simt-mutants`; COUNT spread over all mutants
#   tests/simt/mutants.sh --summary < LOG         counts; fails below 95 % caught, or with a survivor that has no reason
#
# The sample is the same on every run: each file gives its share, spread evenly, and at least one;
# ONLY=pattern keeps files that match. Only a file that includes the changed line is compiled again,
# the rest comes from $BUILD; the first test to fail ends a mutant. What the checker's build lets
# pass is tried under AddressSanitizer and UBSan, which see a thread's own arrays. Set by the
# Makefile: BUILD, COMPILE and LINK_OBJECTS, and SAN_BUILD, SAN_COMPILE and SAN_LINK_OBJECTS.
if [ "$1" = --summary ]; then
    awk '/^caught/ { caught++ } /^survived/ { if (/ equivalent: /) equivalent++; else survived++ }
        /^no program/ { none++ }
        END { all = caught + survived + equivalent
              share = 100 * caught / (caught + survived)
              printf "# %d caught, %d survived (%d of them equivalent): %.1f %% of all caught, ",
                  caught, survived + equivalent, equivalent, 100 * caught / all
              printf "%.1f %% of those that change a result; %d made no program\n", share, none
              exit share < 95 || survived > 0 }'
    exit
fi
count=${1:-60} part=${2:-0/1}
: "${BUILD:=build}" "${COMPILE:?run make simt-mutants}" "${SAN_COMPILE:?run make simt-mutants}"
work=$BUILD/mutants.$(echo "$part" | tr / -)
known=tests/simt/mutants.known
rm -rf "$work"
mkdir -p "$work"
printf 'leak:libcriterion\n' > "$work/suppressions"
LSAN_OPTIONS=suppressions=$work/suppressions:print_suppressions=0
export LSAN_OPTIONS

# The .cu files to compile for a changed file: itself, or those that include it.
units() {
    case $1 in
    *.cu) echo "$1" ;;
    cuda/lab/*) ls "${1%/*}"/*.cu ;;
    *) { grep -l "\"$1\"" cuda/*.cu # those that include it themselves are the likeliest to notice
         for u in cuda/*.cu; do
             grep -q "[ /]${1#cuda/}\( \|\$\|:\)" "$BUILD/simt-check/${u%.cu}.d" && echo "$u"
         done; } | awk '!seen[$0]++' ;;
    esac
}

# The tests that notice: program and filter, one a line; SUITE becomes the suite's name or that of
# its checked twin.
killers() {
    case $1 in
    cuda/imaging_augment.cu) echo 'test_simt_imaging simt_imagingSUITE/aug*' ;;
    cuda/imaging*) echo 'test_simt_imaging simt_imagingSUITE/[!a]*' ;;
    cuda/optimizer.cu) echo 'test_simt_optimizer simt_optimizerSUITE/*' ;;
    cuda/staging.cu | cuda/runtime.cu | cuda/plugin.cu) echo 'test_device deviceSUITE/*' ;;
    cuda/gemm.cu)
        echo 'test_device deviceSUITE/products*'
        echo 'test_simt_ops simt_opsSUITE/pointwise_conv' ;;
    cuda/lab/*/*)
        op=${1#cuda/lab/}
        echo "test_simt_lab simt_labSUITE/${op%%/*}" ;;
    cuda/lab/*) echo 'test_simt_lab simt_lab/every*' ;;
    *)
        case $1 in
        cuda/batch_norm*) op=batch_norm ;;
        cuda/norm_gate_project*) op=norm_gate_project ;;
        *) op=$(basename "$1" .cu) ;;
        esac
        echo "test_simt_ops simt_opsSUITE/$op"
        echo "test_simt_sizes simt_sizesSUITE/$op*" ;;
    esac
}

# unit, build tree, suffix of the suites: fails when a test notices.
survives() {
    killers "$1" | sed "s/SUITE/$3/" > "$work/killers"
    while read -r program filter; do
        MG_LAB_FILE=$1 MG_PLUGIN_DIR=$work timeout 40 "$2/tests/cuda/$program" \
            --filter="$filter" > "$work/log" 2>&1 < /dev/null || return 1
        grep -q 'ERROR: LeakSanitizer' "$work/log" && return 1
    done < "$work/killers"
    return 0
}

# unit, compiler, objects, folder of its object there, library.
build_plugin() {
    rm -f "$work/$5"
    $2 -iquote "$work" -w -x c++ -c "$work/$1" -o "$work/unit.o" 2> "$work/log" || return 1
    emulator=$(echo "$3" | tr ' ' '\n' | grep '/tests/simt/')
    others=$(echo "$3" | tr ' ' '\n' | grep -v "/tests/simt/\|/$4/${1%.cu}\.o$")
    # Before the others: of a template that several files instantiate the first copy is taken.
    # shellcheck disable=SC2086
    $LINK -o "$work/$5" $emulator "$work/unit.o" $others -lpthread -ldl -lm 2> "$work/log"
}

# unit, checker or sanitizers: compiles it against the changed files in $work and runs its tests.
try_unit() {
    mkdir -p "$work/${1%/*}"
    [ -f "$work/$1" ] || cp "$1" "$work/$1"
    LINK="${CXX:-c++} -shared -Wl,-Bsymbolic"
    tree=$BUILD suffix=_checked
    if [ "$2" = checker ]; then
        build_plugin "$1" "$COMPILE" "$LINK_OBJECTS" simt-check libmammograd_simt_check.so
    else
        tree=$SAN_BUILD suffix= LINK="$LINK -fsanitize=address,undefined"
        build_plugin "$1" "$SAN_COMPILE" "$SAN_LINK_OBJECTS" simt libmammograd_simt.so
    fi || { echo "no program"; return; }
    if survives "$1" "$tree" "$suffix"; then echo survived; else echo caught; fi
}

# file, line; the changed text is in $TEXT. Prints what became of it, over all files that use it.
try() {
    rm -rf "$work/cuda"
    mkdir -p "$work/${1%/*}"
    awk -v n="$2" 'FNR == n { print ENVIRON["TEXT"]; next } { print }' "$1" > "$work/$1"
    result="no program"
    for by in checker sanitizers; do
        for unit in $(units "$1"); do
            one=$(try_unit "$unit" $by)
            [ "$one" = "no program" ] || result=$one
            [ "$one" = caught ] && break 2
        done
    done
    echo "$result"
}

all=$work/all
awk -f tests/simt/mutants.awk $(ls cuda/*.cu cuda/*.h cuda/lab/*.cu cuda/lab/*.h cuda/lab/*/*) |
    grep "^[^	]*${ONLY:-}" > "$all"
# k of a file's n mutants, the i-th where i k / n passes a whole number.
awk -F'	' -v count="$count" 'FNR == NR { n[$1]++; total++; next }
    { k = int(n[$1] * count / total + 0.5); if (k < 1) k = 1
      if (k > n[$1]) k = n[$1]
      i = ++seen[$1]; if (int(i * k / n[$1]) != int((i - 1) * k / n[$1])) print }
' "$all" "$all" > "$work/sample"
echo "# $(wc -l < "$work/sample") of $(wc -l < "$all") mutants, part $part"
awk -v part="${part%/*}" -v parts="${part#*/}" 'NR % parts == part' "$work/sample" |
    while IFS='	' read -r file line kind text; do
        TEXT=$text
        export TEXT
        result=$(try "$file" "$line")
        shown=$(echo "$TEXT" | sed 's/^ *//')
        reason=
        [ "$result" = survived ] && reason=$(TEXT=$shown awk -F'	' -v f="$file" \
            '$1 == f && $2 == ENVIRON["TEXT"] { print $3 }' "$known")
        printf '%-10s %s:%s  %s  | %s%s\n' "$result" "$file" "$line" "$kind" "$shown" \
            "${reason:+  equivalent: $reason}"
    done
