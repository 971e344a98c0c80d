#!/bin/sh
# Run test binaries one after another; print what failed and one closing line.
passed=0 failed=0 bad=
log=${BUILD:-build}/test.log
: > "$log"
# The test runner's own leaks are not ours to mend.
printf 'leak:libcriterion\n' > "$log.suppressions"
LSAN_OPTIONS="suppressions=$log.suppressions:print_suppressions=0${LSAN_OPTIONS:+:$LSAN_OPTIONS}"
export LSAN_OPTIONS
for t in "$@"; do
    start=$(date +%s)
    if "$t" > "$log.one" 2>&1; then ok=ok; else ok=FAILED; bad="$bad $t"; cat "$log.one"; fi
    # A leak report does not fail a Criterion test by itself.
    if grep -q 'ERROR: LeakSanitizer' "$log.one"; then [ $ok = ok ] && cat "$log.one"; ok=FAILED; bad="$bad $t(leak)"; fi
    sum=$(sed -e 's/\x1b\[[0-9;]*m//g' "$log.one" | grep 'Synthesis: Tested' | tail -1)
    p=$(echo "$sum" | sed -n 's/.*Passing: *\([0-9]*\).*/\1/p'); p=${p:-0}
    n=$(echo "$sum" | sed -n 's/.*Tested: *\([0-9]*\).*/\1/p'); n=${n:-0}
    passed=$((passed + p)); failed=$((failed + n - p))
    [ $ok = FAILED ] && [ "$n" = "$p" ] && failed=$((failed + 1))
    printf '%-7s %4ss  %-4s tests  %s\n' "$ok" "$(($(date +%s) - start))" "$n" "$t"
    cat "$log.one" >> "$log"
done
rm -f "$log.one"
[ -n "$bad" ] && echo "failed:$bad"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
