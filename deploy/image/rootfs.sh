#!/usr/bin/env bash
# Makes the image's root file system in an empty folder, on Debian 12 with the packages of tools/apt/base.txt.
# The Dockerfile runs it in a container, `make image` on this machine. No privileges are needed.
#
#   deploy/image/rootfs.sh FOLDER
set -euo pipefail
root=$(realpath -m "$1")
cd "$(dirname "$0")/../.."
here=deploy/image
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
site=$root/usr/lib/python3/dist-packages
modules=$root/usr/lib/python3.11
export PYTHONHASHSEED=0 # the order of sets in compiled modules
python=/usr/bin/python3 # Debian's own: BCC belongs to it
umask 022

# Names in a list of packages, without comments.
names() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' -e 's/[[:space:]]//g' "$1"; }

# Debian's packages, in the merged layout that Debian 12 installs.
debian() {
	local name archive
	for name in bin lib lib64 sbin; do
		mkdir -p "$root/usr/$name"
		ln -s "usr/$name" "$root/$name"
	done
	# shellcheck disable=SC2046
	(cd "$work" && apt-get -qq -o APT::Sandbox::User=root download $(names "$OLDPWD/$here/packages.txt"))
	mkdir -p "$root/var/lib/dpkg/status.d"
	for archive in "$work"/*.deb; do
		dpkg-deb --fsys-tarfile "$archive" | tar -x --keep-directory-symlink --no-same-owner -C "$root"
		name=$(dpkg-deb --field "$archive" Package)
		dpkg-deb --field "$archive" >"$root/var/lib/dpkg/status.d/$name" # for scanners
	done
	ln -s python3.11 "$root/usr/bin/python3"
}

# Our distributions and what they depend on, in the versions of constraints.txt.
python_packages() {
	local pip=("$work/venv/bin/python" -m pip --quiet --disable-pip-version-check)
	make --silent -C cni/plugin
	"$python" -m venv "$work/venv"
	"${pip[@]}" install --constraint constraints.txt hatchling
	"${pip[@]}" install --constraint constraints.txt --no-build-isolation --no-compile --target "$site" \
		./core ./bpf ./drivers/tc ./drivers/sockops ./cni
	rm -rf "$site"/bin "$site"/*.dist-info/{RECORD,direct_url.json,INSTALLER,REQUESTED}
	cat >"$root/usr/bin/twinway" <<-'PYTHON'
		#!/usr/bin/python3
		from twinway.cli.main import main
		main()
	PYTHON
	chmod 755 "$root/usr/bin/twinway"
}

# The BPF programs, compiled: the same bundles load on every kernel.
bundles() {
	gcc -shared -fPIC -O2 -o "$work/no-maps.so" "$here/no-maps.c"
	PYTHONPATH=$site LD_PRELOAD=$work/no-maps.so PYTHONDONTWRITEBYTECODE=1 "$python" -c '
from twinway_bpf.load.loader import SHIPPED, ensure_bundle
from twinway_bpf.load.programs import SOURCES
for source in SOURCES:
    ensure_bundle(source, SHIPPED)'
}

# What no command of the image uses. The client's models and calls are generated; the source reads plain JSON.
prune() {
	local client=$site/kubernetes
	rm -rf "$client/aio" "$site"/{aiohttp*,yarl*,multidict*,frozenlist*,propcache*,aiosignal*,aiohappyeyeballs*,attr,attrs*}
	find "$client/client/models" "$client/client/api" -name '*.py' ! -name '__init__.py' -delete
	rm -rf "$modules"/{idlelib,lib2to3,ensurepip,distutils,pydoc_data,tkinter,turtledemo,test,venv,curses,dbm}
	rm -rf "$modules"/lib-dynload/{_curses,_dbm,readline,_bz2,_lzma,_tkinter}*
	rm -rf "$root"/usr/share/{man,locale,lintian,bug,gcc,gdb,python3,base-files,binfmts,applications,pixmaps}
	rm -rf "$root"/usr/lib/*/gconv "$root"/{etc,var/lib,usr/lib}/{apt,systemd,binfmt.d} "$root"/lib/*/audit
	find "$root/usr/share/doc" -type f ! -name copyright -delete
	find "$root/usr/share/doc" -type l -delete
	find "$root" -name __pycache__ -prune -exec rm -rf {} +
	find "$site" \( -name tests -o -name test \) -type d -prune -exec rm -rf {} +
}

# Folders that mounts, or the agent, expect; users; and modules compiled, because nothing can be written later.
finish() {
	mkdir -p "$root"/{dev,proc,sys,run,tmp,host,etc/twinway,etc/cni/net.d,opt/cni/bin,var/cache/twinway}
	rm -rf "$root"/{boot,home,media,mnt,srv} "${root:?}/var/run" "${root:?}/var/lock"
	ln -s ../run "$root/var/run"
	chmod 1777 "$root/tmp"
	printf 'root:x:0:0:root:/root:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n' >"$root/etc/passwd"
	printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
	printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
	"$python" -m compileall -q -s "$root" --invalidation-mode unchecked-hash "$modules" "$site"
}

# Every module of ours, and what it loads only when it is used.
try() {
	[ "$(id -u)" -eq 0 ] || return 0
	chroot "$root" /usr/bin/python3 -B - <"$here/smoke.py"
}

[ ! -e "$root" ] || [ -z "$(ls -A "$root")" ] || { echo "image: $root is not empty" >&2; exit 1; }
mkdir -p "$root"
debian
python_packages
bundles
prune
finish
try
