boot() {
	load platespool
}

workload() {
	service /usr/bin/ripd -c /etc/rip.steps
	service /usr/sbin/plated -c /etc/plated.steps
}
