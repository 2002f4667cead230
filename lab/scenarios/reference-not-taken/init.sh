boot() {
	load licpool
}

workload() {
	service /usr/sbin/licd -c /etc/licd.steps
}
