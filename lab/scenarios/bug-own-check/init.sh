boot() {
	load jobqueue
}

workload() {
	service /usr/sbin/cupsd -l -c /etc/cupsd.steps
}
