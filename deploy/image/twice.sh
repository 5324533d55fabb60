#!/usr/bin/env bash
# Builds the image twice, in different folders, and compares the archives byte for byte.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for build in first second; do
	mkdir "$work/$build"
	deploy/image/build.sh "$work/$build/twinway.tar"
done
cmp "$work/first/twinway.tar" "$work/second/twinway.tar"
echo "image: both builds have the same bytes"
