boot() {
	load labelfs
}

workload() {
	service /usr/sbin/labeld -c /etc/work.steps
}
