boot() {
	load bitplane
}

workload() {
	service /usr/bin/signd -c /etc/work.steps
}
