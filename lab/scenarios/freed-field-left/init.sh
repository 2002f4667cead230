boot() {
	load plotbuf
}

workload() {
	service /usr/sbin/plotd -c /etc/plotd.steps
}
