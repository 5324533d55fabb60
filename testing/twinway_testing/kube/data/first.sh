# The first process of a host, already in its namespaces. It gives the host its own view of the machine, then waits.
set -e
mount --make-rprivate /
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
for hierarchy in $HIERARCHIES; do
	directory=/sys/fs/cgroup/${hierarchy%%:*}
	mkdir -p "$directory"
	case ${hierarchy#*:} in
	cgroup2) mount -t cgroup2 cgroup2 "$directory" ;;
	*) mount -t cgroup -o "${hierarchy#*:}" cgroup "$directory" ;;
	esac
done
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs -o mode=755 run /run
for tree in etc opt var; do
	mkdir -p "$ROOT/$tree/upper" "$ROOT/$tree/work"
	mount -t overlay -o "lowerdir=/$tree,upperdir=$ROOT/$tree/upper,workdir=$ROOT/$tree/work" $tree /$tree
done
for tree in containerd kubelet cni; do
	mkdir -p "$ROOT/lib/$tree" /var/lib/$tree
	mount --bind "$ROOT/lib/$tree" /var/lib/$tree
done
# kubelet insists on these settings: it reads them as already made, and the machine keeps its own.
for setting in $SYSCTLS; do
	mkdir -p "$ROOT/sysctl/${setting%/*}"
	echo "${setting#*=}" >"$ROOT/sysctl/${setting%%=*}"
	mount --bind "$ROOT/sysctl/${setting%%=*}" "/proc/sys/${setting%%=*}"
done
mkdir -p /etc/cni/net.d /opt/cni/bin /var/log/pods /run/lock
rm -f /etc/cni/net.d/*
: >"$ROOT/resolv.conf"
mount --bind "$ROOT/resolv.conf" /etc/resolv.conf
printf '127.0.0.1 localhost\n%s\n' "$HOSTS" >/etc/hosts
mount --make-rshared /
hostname "$NAME"
ip link set lo up
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0
[ -z "$BRIDGE_FILTER" ] || sysctl -qw net.bridge.bridge-nf-call-iptables="$BRIDGE_FILTER" || true
touch "$ROOT/ready"
exec "$PAUSE"
