boot() {
	load padgen
	load evtbus
}

workload() {
	service /usr/sbin/busctl -c /etc/busctl.steps
}
