boot() {
	load tapechg
}

workload() {
	service /usr/sbin/mtx-daemon -c /etc/mtx-daemon.steps
}
