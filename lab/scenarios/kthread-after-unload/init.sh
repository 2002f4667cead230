boot() {
	load scrubber
	rmmod scrubber
}
