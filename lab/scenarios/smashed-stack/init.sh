boot() {
	load hexcfg
}

workload() {
	service /usr/sbin/bootcfg -c /etc/bootcfg.steps
}
