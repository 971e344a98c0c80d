#!/bin/sh
# Install the Debian packages of a list that are missing; say what is missing where apt is not there.
set -eu
want=$(sed -e 's/#.*//' "$1")
if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "deps: not a Debian system; please install the equivalents of:" $want >&2
    exit 0
fi
missing=
for p in $want; do
    dpkg-query -W -f='${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
sudo=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 || { echo "deps: missing packages:$missing (run as root: apt-get install$missing)" >&2; exit 1; }
    sudo=sudo
fi
echo "deps: installing$missing" >&2
$sudo env DEBIAN_FRONTEND=noninteractive apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
