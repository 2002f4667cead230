boot() {
	load fanstat
}

workload() {
	service /usr/sbin/fand -c /etc/work.steps
}
