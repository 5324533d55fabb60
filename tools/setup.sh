#!/usr/bin/env bash
# Everything that building, checking and testing need, from nothing; at once when nothing changed.
#
#   tools/setup.sh             what all doors need
#   tools/setup.sh GROUP       and what one door needs: kernels, bench
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
python=/usr/bin/python3 # Debian's own: BCC belongs to it
projects=(core bpf drivers/tc drivers/sockops cni lab testing bench tests/conformance)

fail() {
	echo "setup: $*" >&2
	exit 1
}

# Names in a list of packages, without comments.
names() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' -e 's/[[:space:]]//g' "$1"; }

debian_packages() {
	local missing=() name
	for name in $(names "$1"); do
		dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed || missing+=("$name")
	done
	[ ${#missing[@]} -eq 0 ] && return
	[ "$(id -u)" -eq 0 ] || fail "Debian packages are missing: run as root, or first: apt-get install ${missing[*]}"
	echo "setup: installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	apt-get -qq update
	apt-get -qq -y --no-install-recommends install "${missing[@]}" >/dev/null
}

# Names everything that the environment is made from, its place included: it cannot be moved.
fingerprint() {
	{
		echo "$root" "$@"
		"$python" --version
		cat tools/setup.sh constraints.txt pyproject.toml "${projects[@]/%//pyproject.toml}"
	} | sha256sum
}

# Whether the environment is what this group is made from now.
fresh() { [ "$(cat ".venv/setup.$1.stamp" 2>/dev/null)" = "$(fingerprint "$1")" ]; }

python_packages() {
	local pip=(.venv/bin/python -m pip --quiet --disable-pip-version-check) editable=() project
	fresh "$1" && return
	[ -x "$python" ] || fail "$python is missing: this needs Debian's own Python"
	echo "setup: making .venv for $1"
	[ -x .venv/bin/python ] || "$python" -m venv --system-site-packages .venv
	"${pip[@]}" install --constraint constraints.txt pip
	"${pip[@]}" install --constraint constraints.txt --group "$1"
	for project in "${projects[@]}"; do editable+=(--editable "$project"); done
	[ "$1" != dev ] || "${pip[@]}" install --constraint constraints.txt --no-build-isolation "${editable[@]}"
	fingerprint "$1" >".venv/setup.$1.stamp"
}

debian_packages tools/apt/base.txt
python_packages dev
[ -z "${1:-}" ] || debian_packages "tools/apt/$1.txt"
[ "${1:-}" != bench ] || python_packages bench
make --silent -C cni/plugin
