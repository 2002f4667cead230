boot() {
	load routepin
}

workload() {
	service /usr/sbin/routed -c /etc/work.steps
}
