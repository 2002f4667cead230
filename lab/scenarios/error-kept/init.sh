boot() {
	load toneg
}

workload() {
	service /usr/sbin/synthd -c /etc/synthd.steps
}
