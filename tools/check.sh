#!/usr/bin/env bash
# Format, lint, types, layers, links: what a change must pass before its tests are worth running.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
packages=(core/twinway bpf/twinway_bpf drivers/tc/twinway_tc drivers/sockops/twinway_sockops
	cni/twinway_cni lab/twinway_lab testing/twinway_testing bench/twinway_bench
	tests/conformance/twinway_conformance)

$bin/ruff format --check --quiet
$bin/ruff check --quiet
mapfile -t tests < <(git ls-files --cached --others --exclude-standard 'tests/*.py' ':!tests/conformance')
$bin/mypy "${packages[@]}" "${tests[@]}"
$bin/lint-imports --no-logo
git ls-files -z '*.c' '*.h' | xargs -0 --no-run-if-empty clang-format-14 --dry-run -Werror
$bin/python tools/links.py
