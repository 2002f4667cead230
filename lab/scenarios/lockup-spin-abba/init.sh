workload() {
	load swfabric
}
