#!/bin/sh
# Manual pages from what the programs say of themselves:
#     tools/man.sh FOLDER PROGRAM...
# One page per program, mammograd-NAME.1; the help of subcommands becomes sections of it. The help
# must look as apps/lib/cli.c prints it: a Usage line, a sentence, then "Options:" and the rest.
set -eu
folder=$1
shift
mkdir -p "$folder"

# Text to troff: backslashes, dashes that must stay dashes, and dots or quotes that begin a line.
escape() {
    sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\([.']\)/\\\\\&\1/"
}

# Options and what follows, laid out as they are.
layout() {
    printf '.nf\n'
    sed '1,/^Options:$/d' | escape
    printf '.fi\n'
}

for program in "$@"; do
    name=mammograd-$(basename "$program")
    page=$folder/$name.1
    help=$("$program" --help)
    version=$("$program" --version | sed 's/.* //')
    usage=$(printf '%s\n' "$help" | sed -n '1s/^Usage: [^ ]* *//p')
    summary=$(printf '%s\n' "$help" | sed -n '2p' | sed 's/\.$//')
    lower=$(printf '%s' "$summary" | cut -c1 | tr '[:upper:]' '[:lower:]')$(printf '%s' "$summary" | cut -c2-)
    {
        printf '.TH %s 1 "" "mammograd %s" "mammograd"\n' \
            "$(printf '%s' "$name" | tr '[:lower:]' '[:upper:]' | escape)" "$version"
        printf '.SH NAME\n%s \\- %s\n' "$(printf '%s' "$name" | escape)" \
            "$(printf '%s' "$lower" | escape)"
        printf '.SH SYNOPSIS\n.B %s\n%s\n' "$(printf '%s' "$name" | escape)" \
            "$(printf '%s' "$usage" | escape)"
        printf '.SH DESCRIPTION\n%s.\n' "$(printf '%s' "$summary" | escape)"
        printf '.SH OPTIONS\n'
        printf '%s\n' "$help" | layout
        for command in $(printf '%s\n' "$help" |
            sed -n '/^Commands/,$s/^  \([a-z][a-z-]*\)   *.*/\1/p'); do
            printf '.SH COMMAND %s\n' "$(printf '%s' "$command" | tr '[:lower:]' '[:upper:]' | escape)"
            part=$("$program" "$command" --help)
            printf '%s.\n.PP\n.B %s %s\n%s\n.PP\n' \
                "$(printf '%s\n' "$part" | sed -n '2p' | sed 's/\.$//' | escape)" \
                "$(printf '%s' "$name" | escape)" "$(printf '%s' "$command" | escape)" \
                "$(printf '%s\n' "$part" | sed -n '1s/^Usage: [^ ]* [^ ]* *//p' | escape)"
            printf '%s\n' "$part" | layout
        done
        printf '.SH EXIT STATUS\n0 when everything was done, 1 when something failed, 2 on wrong usage.\n'
    } > "$page.tmp"
    mv "$page.tmp" "$page"
done
