boot() {
	load blkstage
}

workload() {
	service /usr/sbin/staged -c /etc/work.steps
}
