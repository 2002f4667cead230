boot() {
	load dmaring
}

workload() {
	service /usr/sbin/copyd -c /etc/copyd.steps
}
