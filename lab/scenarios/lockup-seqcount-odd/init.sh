boot() {
	load antclk
}

workload() {
	service /usr/sbin/refclockd --source gnss -c /etc/refclockd.steps
}
