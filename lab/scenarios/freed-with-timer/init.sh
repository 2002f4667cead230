boot() {
	load wdtbridge
}

workload() {
	service /usr/sbin/hwwatch -c /etc/hwwatch.steps
}
