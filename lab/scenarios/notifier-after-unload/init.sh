boot() {
	load linkwatchd
	rmmod linkwatchd
}

workload() {
	sleep 1
	ip link set lo mtu 9000
}
