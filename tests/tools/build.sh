#!/usr/bin/env bash
# Builds what the tests need and is not there yet, pinned, into a folder outside the repository: tests/tools/build.sh DIR.
# Called by `make tools`. Each tool's folder is named by a hash of its pins, so a changed pin builds a new one.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${1:?usage: build.sh DIR}
mkdir -p "$cache"

# pinned NAME FILE...: the folder for a tool with these pins.
pinned() {
    local name=$1
    shift
    echo "$cache/$name-$(cat "$@" | sha256sum | cut -c1-12)"
}

# into DIR COMMAND...: runs COMMAND with a new folder as its last word, and moves that to DIR when it has succeeded.
into() {
    local dir=$1 fresh
    shift
    [ -e "$dir" ] && return
    fresh=$(mktemp -d "$dir.XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    echo "tools: building $(basename "$dir")" >&2
    "$@" "$fresh"
    mv "$fresh" "$dir"
    trap - EXIT
}

promtool() {
    (
        cd "$here/prometheus"
        CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=readonly go build -trimpath -tags remove_all_sd \
            -ldflags "-s -w -X github.com/prometheus/common/version.Version=3.16.0" \
            -o "$1/promtool" github.com/prometheus/prometheus/cmd/promtool
    )
}

python_packages() {
    python3 -m pip install --quiet --no-deps --require-hashes --target "$1" -r "$here/python/requirements.txt"
}

prometheus_dir=$(pinned promtool "$here/prometheus/go.mod" "$here/prometheus/go.sum")
python_dir=$(pinned python "$here/python/requirements.txt")
into "$prometheus_dir" promtool
into "$python_dir" python_packages
# Where the tests look: names without a hash.
ln -sfn "$(basename "$prometheus_dir")" "$cache/promtool"
ln -sfn "$(basename "$python_dir")" "$cache/python"
