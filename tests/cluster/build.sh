#!/usr/bin/env bash
# Builds what the tests of this folder run, once: an API server, and an etcd that lets it stream lists.
# The programs are kept outside the tree: tests/cluster/binaries.py says where.
set -euo pipefail
cd "$(dirname "$0")"
version=v1.36.3
bin=${TWINWAY_KUBE_BIN:-${XDG_CACHE_HOME:-$HOME/.cache}/twinway/kube-$version}

# build PROGRAM MODULE PACKAGE
build() {
	[ -x "$bin/$1" ] && return
	command -v go >/dev/null || {
		echo "kube: go is missing: install Go 1.26, or set TWINWAY_KUBE_BIN to a folder with $1" >&2
		exit 1
	}
	echo "kube: building $1 into $bin"
	mkdir -p "$bin"
	local stamp=k8s.io/component-base/version
	local flags="-s -w -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=36"
	(cd "go/$2" && CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o "$bin/$1.part" "$3")
	mv "$bin/$1.part" "$bin/$1" # an interrupted build leaves no program
}

build kube-apiserver kube k8s.io/kubernetes/cmd/kube-apiserver
build etcd etcd go.etcd.io/etcd/server/v3
