# The first process of a sandbox: sets up its network and, for a node, its mounts and control groups, then waits for
# its standard input to end.
#
#   sh inside.sh FOLDER NAME plane|node
#
# The node's address is on an empty bridge and the default route leads to a gateway that does not exist: programs find
# a route, and nothing gets out.
set -e
folder=$1 name=$2 level=$3
ip link set lo up
ip link add node0 type bridge
ip addr add 10.200.0.1/24 dev node0
ip link set node0 up
ip route add default via 10.200.0.254 dev node0
if [ "$level" = node ]; then
    for target in /run /var/lib/cni /var/lib/kubelet /var/log/pods /var/log/containers; do
        mkdir -p "$target" "$folder/mounts$target"
        mount --bind "$folder/mounts$target" "$target"
    done
    echo 1 >/proc/sys/net/ipv4/ip_forward
    [ -d /proc/sys/net/bridge ] || modprobe br_netfilter || true
    # Without this, traffic between two pods on the bridge passes by every Service and policy rule.
    echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        mkdir -p "/sys/fs/cgroup/$name"
    else
        for controller in /sys/fs/cgroup/*/; do
            mkdir -p "$controller$name" 2>/dev/null || continue
            for file in cpuset.cpus cpuset.mems; do
                [ ! -e "$controller$file" ] || cat "$controller$file" >"$controller$name/$file"
            done
        done
    fi
fi
echo ready
cat >/dev/null
exit 0
