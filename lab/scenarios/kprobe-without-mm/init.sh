workload() {
	load ratelog seconds=2
	load execaudit
}
