#!/usr/bin/env bash
# Lints the chart and writes the plain manifests that it renders to with its default values: deploy/manifests.
#
#   deploy/chart/manifests.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-deploy/manifests}
helm=$(deploy/helm/build.sh)
chart=deploy/chart/twinway
"$helm" lint --strict "$chart" >&2
render() { "$helm" template twinway "$chart" --namespace kube-system "$@"; }
mkdir -p "$out"
{
	echo "# Rendered from deploy/chart/twinway with its default values by \`make chart\`. Edit the chart."
	render --no-hooks
} >"$out/twinway.yaml"
{
	echo "# Takes twinway off every node after its agents were deleted: docs/install.md. Rendered by \`make chart\`."
	render --show-only templates/uninstall.yaml
} >"$out/uninstall.yaml"
