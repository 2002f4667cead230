boot() {
	load gwconfig
}

workload() {
	(sleep 1; rmmod gwconfig) &
}
