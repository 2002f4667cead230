workload() {
	load scrubber
	rmmod scrubber
}
