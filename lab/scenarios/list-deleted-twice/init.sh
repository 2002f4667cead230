boot() {
	load printq
}

workload() {
	service /usr/sbin/cupsd -c /etc/cupsd.steps
}
