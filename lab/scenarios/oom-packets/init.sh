boot() {
	load lldprx
}

workload() {
	lldpsend &
	(while :; do cat /proc/meminfo >/tmp/memory; sleep 0.3; done) &
}
