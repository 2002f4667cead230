boot() {
	load tlsrec
}

workload() {
	service /usr/sbin/recd -c /etc/work.steps
}
