#!/bin/sh
# Layers, sizes, width; without --quick also format and static analysis. What is not installed is
# skipped, and said.
set -u
cd "$(dirname "$0")/.."
status=0
files=$(git ls-files '*.c' '*.h' '*.cc' '*.cu' '*.cuh' | grep -v '^tests/golden/')
tools/layers.sh && echo "layers: ok" || status=1
long=$(wc -l $files | awk '$2 != "total" && $1 > 450 {print "  " $2 ": " $1 " lines"}')
if [ -n "$long" ]; then
    echo "over 450 lines:"
    echo "$long"
    status=1
else
    echo "sizes: ok"
fi
wide=$(LC_ALL=C.UTF-8 grep -nE '^.{101,}' $(echo "$files" | grep -v '^tests/') /dev/null | cut -c1-100)
[ -z "$wide" ] && echo "width: ok" || { echo "lines over 100 columns:"; echo "$wide" | head -20; status=1; }
[ "${1:-}" = --quick ] && exit $status
if command -v clang-format >/dev/null 2>&1; then
    bad=$(for f in $files; do clang-format --dry-run -Werror "$f" >/dev/null 2>&1 || echo "  $f"; done)
    [ -z "$bad" ] && echo "format: ok" || { echo "not formatted (make format):"; echo "$bad"; status=1; }
else
    echo "format: skipped, clang-format is not installed"
fi
if command -v cppcheck >/dev/null 2>&1; then
    cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 -I. \
        --suppress=missingIncludeSystem --suppress=legacyUninitvar -j 2 \
        $(git ls-files 'tensor/*.c' 'ops/*.c' 'autograd/*.c' 'nn/*.c' 'optim/*.c' 'dicom/*.c' \
            'data/*.c' 'apps/*.c') && echo "cppcheck: ok" || status=1
else
    echo "cppcheck: skipped, it is not installed"
fi
exit $status
