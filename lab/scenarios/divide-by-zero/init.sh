boot() {
	load shaper
}

workload() {
	service /usr/sbin/tcd -c /etc/tcd.steps
}
