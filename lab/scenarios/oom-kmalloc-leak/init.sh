boot() {
	load pollq
}

workload() {
	echo start >/proc/pollq
}
