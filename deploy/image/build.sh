#!/usr/bin/env bash
# Makes the image as an OCI archive: deploy/build/twinway.tar. Needs no container runtime and no registry.
#
#   deploy/image/build.sh [OUT]      IMAGE= another name (localhost/twinway), TAG= another tag (the version)
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-deploy/build/twinway.tar}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' core/pyproject.toml)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
revision=$(git rev-parse HEAD 2>/dev/null || true)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
deploy/image/rootfs.sh "$root/rootfs"
/usr/bin/python3 deploy/image/archive.py "$root/rootfs" "$out" \
	--name "${IMAGE:-localhost/twinway}" --version "${TAG:-$version}" --revision "$revision"
