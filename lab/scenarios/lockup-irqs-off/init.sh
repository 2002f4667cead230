boot() {
	load doorbell
}

workload() {
	service /usr/sbin/ibacm -c /etc/ibacm.steps
}
