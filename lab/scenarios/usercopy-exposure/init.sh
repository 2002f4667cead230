boot() {
	load calib
}

workload() {
	service /usr/sbin/calibd -c /etc/work.steps
}
