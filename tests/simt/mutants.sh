#!/bin/sh
# Mutation test of cuda/: breaks one line at a time, runs the op's tests in the emulator under the
# checker and prints whether they notice. A survivor is either equivalent (mutants.known gives the
# reason) or a hole in the tests.
#
#   tests/simt/mutants.sh [COUNT] [PART/PARTS]    `make simt-mutants`; COUNT spread over all mutants
#   tests/simt/mutants.sh --summary < LOG         counts; fails below 95 % of those that matter
#
# Only the files that include the changed line are compiled again; everything else comes from
# $BUILD. Environment, set by the Makefile: BUILD, COMPILE (compiler and flags), LINK_OBJECTS.
if [ "$1" = --summary ]; then
    awk '/^caught/ { caught++ } /^survived/ { if (/ equivalent: /) equivalent++; else survived++ }
        END { share = 100 * caught / (caught + survived)
              printf "# %d caught, %d survived, %d equivalent: %.1f %% caught\n",
                  caught, survived, equivalent, share
              exit share < 95 }'
    exit
fi
count=${1:-60} part=${2:-0/1}
: "${BUILD:=build}" "${COMPILE:?run make simt-mutants}" "${LINK_OBJECTS:?run make simt-mutants}"
work=$BUILD/mutants.$(echo "$part" | tr / -)
known=tests/simt/mutants.known
mkdir -p "$work/cuda"
rm -f "$work"/*.o "$work"/cuda/*

# The .cu files to compile for a changed file: itself, or those that include it.
units() {
    case $1 in
    *.cu) echo "$1" ;;
    *) for u in cuda/*.cu; do
           grep -q "[ /]${1#cuda/}\( \|\$\|:\)" "$BUILD/simt-check/${u%.cu}.d" && echo "$u"
       done | grep -v 'plugin\|runtime\|gemm\|optimizer\|staging' ;;
    esac
}

# Which tests notice: those of the op that the unit implements.
op_of() {
    case $1 in
    cuda/batch_norm*) echo batch_norm ;;
    *) basename "$1" .cu ;;
    esac
}

# Fails when the tests notice.
survives() {
    MG_PLUGIN_DIR=$work timeout 120 "$BUILD/tests/cuda/test_simt_ops" \
        --filter="simt_checked/$1" > "$work/log" 2>&1 &&
        MG_SIMT=check MG_PLUGIN_DIR=$work timeout 120 "$BUILD/tests/cuda/test_simt_sizes" \
            --filter="simt_sizes/$1*" >> "$work/log" 2>&1
}

# Compiles a unit against the changed files in $work and runs its op's tests.
try_unit() {
    object=$work/$(basename "$1" .cu).o
    [ -f "$work/$1" ] || cp "$1" "$work/$1"
    $COMPILE -iquote "$work" -w -x c++ -c "$work/$1" -o "$object" 2> "$work/log" ||
        { echo "no program"; return; }
    objects=$(echo "$LINK_OBJECTS" | tr ' ' '\n' | grep -v "/simt-check/${1%.cu}\.o$")
    ${CXX:-c++} -shared -Wl,-Bsymbolic -o "$work/libmammograd_simt_check.so" $objects "$object" \
        -lpthread -ldl -lm || { echo "no program"; return; }
    if survives "$(op_of "$1")"; then echo survived; else echo caught; fi
}

# file, line; the changed text is in $TEXT. Prints what became of it, over all ops that use it.
try() {
    rm -f "$work"/cuda/*
    awk -v n="$2" 'FNR == n { print ENVIRON["TEXT"]; next } { print }' "$1" > "$work/$1"
    result="no program"
    for unit in $(units "$1"); do
        one=$(try_unit "$unit")
        [ "$one" = "no program" ] || result=$one
        [ "$one" = caught ] && break
    done
    echo "$result"
}

all=$work/all
awk -f tests/simt/mutants.awk cuda/*.cu cuda/*.h |
    grep -v '^cuda/\(plugin\|runtime\|gemm\|staging\|optimizer\|runtime\.h\|plugin\.h\)' > "$all"
total=$(wc -l < "$all")
echo "# $count of $total mutants, part $part"
awk -v total="$total" -v count="$count" -v part="${part%/*}" -v parts="${part#*/}" '
    int(NR * count / total) != int((NR - 1) * count / total) && k++ % parts == part' "$all" |
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
