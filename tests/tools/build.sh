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

# go_build MODULE OUTPUT_FOLDER LDFLAGS PACKAGE[=NAME]...: builds commands of one of the modules beside this file.
go_build() {
    local module=$1 out=$2 ldflags=$3 package
    shift 3
    cd "$here/$module"
    for package in "$@"; do
        CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=readonly go build -trimpath -tags remove_all_sd \
            -ldflags "-s -w $ldflags" -o "$out/${package#*=}" "${package%=*}"
    done
}

# Each takes the folder to fill. The versions are stamped, or clients would see "v0.0.0-master".
kube_apiserver() {
    local version=k8s.io/component-base/version
    (go_build kube-apiserver "$1" \
        "-X $version.gitVersion=v1.36.2 -X $version.gitMajor=1 -X $version.gitMinor=36" \
        k8s.io/kubernetes/cmd/kube-apiserver=kube-apiserver k8s.io/kubernetes/cmd/kubectl=kubectl)
}
etcd() { (go_build etcd "$1" "" go.etcd.io/etcd/server/v3=etcd); }
prometheus() {
    (go_build prometheus "$1" "-X github.com/prometheus/common/version.Version=3.16.0" \
        github.com/prometheus/prometheus/cmd/prometheus=prometheus github.com/prometheus/prometheus/cmd/promtool=promtool)
}
alertmanager() {
    (go_build alertmanager "$1" "" \
        github.com/prometheus/alertmanager/cmd/alertmanager=alertmanager github.com/prometheus/alertmanager/cmd/amtool=amtool)
}
helm() { (go_build helm "$1" "" helm.sh/helm/v4/cmd/helm=helm); }

# debian PACKAGE FOLDER: unpacks a package without installing it, so that none of its services starts.
debian() {
    local package=$1 out=$2
    (
        cd "$out"
        apt-get download -qq "$package" 2>/dev/null || { apt-get update -qq && apt-get download -qq "$package"; }
        dpkg -x ./*.deb .
        rm ./*.deb
    )
}
# The old generation, for what has to work with it too: a Prometheus 2, and an etcd that knows no streaming lists.
old_prometheus() { debian prometheus "$1"; }
old_etcd() { debian etcd-server "$1"; }

python_packages() {
    python3 -m pip install --quiet --no-deps --require-hashes --target "$1" -r "$here/python/requirements.txt"
}

# tool NAME COMMAND PIN...: one tool, and a name without a hash by which the tests find it.
tool() {
    local name=$1 command=$2 dir
    shift 2
    dir=$(pinned "$name" "$@")
    into "$dir" "$command"
    ln -sfn "$(basename "$dir")" "$cache/$name"
}

go_tool() { tool "$1" "$2" "$here/$1/go.mod" "$here/$1/go.sum"; }

tool python python_packages "$here/python/requirements.txt"
go_tool prometheus prometheus
go_tool alertmanager alertmanager
go_tool helm helm
tool old-prometheus old_prometheus /etc/os-release
tool old-etcd old_etcd /etc/os-release
if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
    # The convention of the Kubernetes test tools: etcd, kube-apiserver and kubectl are there already.
    ln -sfn "$KUBEBUILDER_ASSETS" "$cache/etcd"
    ln -sfn "$KUBEBUILDER_ASSETS" "$cache/kube-apiserver"
else
    go_tool etcd etcd
    go_tool kube-apiserver kube_apiserver
fi
