workload() {
	load rngfeed
}
