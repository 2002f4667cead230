boot() {
	load codecmux
}

workload() {
	service /usr/bin/recorder -c /etc/recorder.steps
}
