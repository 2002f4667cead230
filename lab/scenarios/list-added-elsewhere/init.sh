boot() {
	load jobsched
}

workload() {
	service /usr/sbin/jobd -c /etc/work.steps
}
