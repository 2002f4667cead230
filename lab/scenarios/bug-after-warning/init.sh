workload() {
	load fanctl
}
