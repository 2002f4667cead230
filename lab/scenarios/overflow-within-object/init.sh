boot() {
	load pumpctl
}

workload() {
	service /usr/sbin/pumpd -c /etc/work.steps
}
