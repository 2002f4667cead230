SNAPSHOT_WITHOUT=slabinfo

boot() {
	load hwprobe
	rmmod hwprobe
}

workload() {
	log collector: started
	sleep 3
	cat /proc/slabinfo >/tmp/slabs
}
