boot() {
	load ringnet
}

workload() {
	(sleep 0.3; ringd) &
}
