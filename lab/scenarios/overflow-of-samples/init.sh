boot() {
	load adcring
}

workload() {
	service /usr/sbin/adcd -c /etc/work.steps
}
