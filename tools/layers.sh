#!/bin/sh
# A layer includes only what stands below it (CONTRIBUTING.md). Prints offenders; fails if any.
set -eu
cd "$(dirname "$0")/.."
allowed() { # $1 = folder of the including file; prints the folders it may include
    case $1 in
    tensor) echo tensor ;;
    ops/cpu) echo tensor ops ops/cpu ;;
    ops) echo tensor ops ops/cpu ;;
    cuda) echo tensor ops cuda tests/simt ;;
    autograd) echo tensor ops ops/cpu autograd ;;
    nn) echo tensor ops ops/cpu autograd nn ;;
    optim) echo tensor ops ops/cpu autograd optim ;;
    dicom) echo dicom ;;
    data) echo tensor ops dicom data ;;
    apps | apps/lib) echo tensor ops ops/cpu autograd nn optim dicom data apps/lib ;;
    esac
}
bad=0
for dir in tensor ops/cpu ops cuda autograd nn optim dicom data apps apps/lib; do
    [ -d "$dir" ] || continue
    may=$(allowed "$dir")
    for file in "$dir"/*.c "$dir"/*.h "$dir"/*.cu "$dir"/*.cuh; do
        [ -f "$file" ] || continue
        for included in $(sed -n 's/^#include "\([^"]*\)".*/\1/p' "$file"); do
            case $included in
            */*) folder=${included%/*} ;;
            *) folder=$dir ;; # a bare name is a file of the same folder
            esac
            case " $may " in
            *" $folder "*) ;;
            *) echo "$file includes $included: $dir must not know $folder"; bad=1 ;;
            esac
        done
    done
done
# ops/cpu stands below ops: of ops it may know the contract only.
for file in ops/cpu/*.c ops/cpu/*.h; do
    for included in $(sed -n 's/^#include "\(ops\/[a-z_]*\.h\)".*/\1/p' "$file"); do
        case $included in
        ops/op.h | ops/table.h | ops/activation.h | ops/resize.h) ;;
        *) echo "$file includes $included: kernels know ops/op.h only"; bad=1 ;;
        esac
    done
done
exit $bad
