boot() {
	load panelbus
}

workload() {
	service /usr/sbin/boardd -c /etc/work.steps
}
