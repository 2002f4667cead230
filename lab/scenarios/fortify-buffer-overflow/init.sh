boot() {
	load beacon
}

workload() {
	service /usr/sbin/beacond -c /etc/work.steps
}
