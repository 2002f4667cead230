boot() {
	load camctl
}

workload() {
	(sleep 0.3; camera-agent) &
}
