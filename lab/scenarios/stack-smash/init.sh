boot() {
	load volident
}

workload() {
	service /usr/sbin/blkidd -c /etc/blkidd.steps
}
