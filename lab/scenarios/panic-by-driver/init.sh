workload() {
	load hbdisk dead_after=3
}
