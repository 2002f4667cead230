boot() {
	load nsalias
}

workload() {
	service /usr/sbin/nscd -c /etc/nscd.steps
}
