boot() {
	load capbuf
}

workload() {
	echo start >/proc/capbuf
}
