SNAPSHOT_WITHOUT=timer_list

boot() {
	load psumon
	load ledmap
}

workload() {
	rmmod psumon
	rmmod ledmap
}
