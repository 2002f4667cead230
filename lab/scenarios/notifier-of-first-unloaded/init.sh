boot() {
	load doorlock
	load netaudit
}

# The backup in between takes the pages in which the modules had been.
workload() {
	rmmod netaudit
	rmmod doorlock
	dd if=/dev/zero of=/tmp/backup bs=64k count=2200 2>/dev/null
	ip link set lo down
}
