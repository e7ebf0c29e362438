# Keeps one sandbox alive while its own standard input is open, and removes what is left when it is gone.
#
#   sh supervise.sh FOLDER NAME INSIDE [LEVEL]
#
# It runs outside the namespaces. The sandbox's first process reads the same standard input, a pipe that only the
# owner holds: when the owner ends, however it ends, the input closes, the first process ends, and with it the kernel
# ends every process in its PID namespace. What remains (control groups, the folder) is removed here.
# Prints "pid N" (a process in the new network and mount namespaces) and later the first process's "ready".
folder=$1 name=$2 inside=$3 level=$4
trap '' HUP INT QUIT TERM
exec 3<&0
setpriv --pdeathsig KILL unshare --net --mount --pid --fork --kill-child=KILL --mount-proc \
    sh "$inside" "$folder" "$name" "$level" <&3 &
echo "pid $!"
exec 3<&- 1>&-
wait $!
for controller in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [ -d "$controller/$name" ] && find "$controller/$name" -depth -type d -exec rmdir {} +
done 2>/dev/null
[ -n "$THREATRELAY_CLUSTER_KEEP" ] || rm -rf --one-file-system -- "$folder"
