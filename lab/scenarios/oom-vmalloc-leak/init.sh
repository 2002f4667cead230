boot() {
	load capbuf
}

workload() {
	(while :; do echo snap >/proc/capbuf; sleep 0.01; done) &
}
