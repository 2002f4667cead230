boot() {
	load pwrmeter
}

workload() {
	service /usr/sbin/energyd -c /etc/energyd.steps
}
