boot() {
	load limittab
}

workload() {
	service /usr/sbin/alarmd -n -c /etc/alarmd.steps
}
