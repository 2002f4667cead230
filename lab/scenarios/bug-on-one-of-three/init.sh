boot() {
	load radiolink
	load airprobe
}

workload() {
	ip link set rlk0 up
	ip addr add 10.9.0.1/24 dev rlk0
	ping -c 2 -W 1 10.9.0.2
	echo 6 >/sys/class/net/rlk0/link/window
	ping -c 3 -W 1 10.9.0.2
}
