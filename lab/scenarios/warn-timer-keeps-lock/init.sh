boot() {
	load arpwatchk
}

workload() {
	echo pin 3 >/proc/arpwatchk
}
