boot() {
	load txmeter
}

workload() {
	service /usr/sbin/vnstatd -n -c /etc/vnstatd.steps
}
