#!/usr/bin/env bash
# Builds Helm once, outside the tree, and prints where it is.
#
#   deploy/helm/build.sh [--where]      --where: do not build it
set -euo pipefail
cd "$(dirname "$0")"
version=$(sed -n 's/.*helm\.sh\/helm\/v4 \(v[0-9.]*\).*/\1/p' go.mod)
bin=${XDG_CACHE_HOME:-$HOME/.cache}/twinway/helm-$version
if [ ! -x "$bin/helm" ] && [ "${1:-}" != --where ]; then
	command -v go >/dev/null || {
		echo "helm: go is missing: install Go 1.26, or put helm $version at $bin/helm" >&2
		exit 1
	}
	echo "helm: building $version into $bin" >&2
	mkdir -p "$bin"
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$bin/helm.part" helm.sh/helm/v4/cmd/helm
	mv "$bin/helm.part" "$bin/helm" # an interrupted build leaves no program
fi
echo "$bin/helm"
