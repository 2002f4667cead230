boot() {
	load framer
}

workload() {
	service /usr/sbin/framed -c /etc/work.steps
}
