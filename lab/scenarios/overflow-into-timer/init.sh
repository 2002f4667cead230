boot() {
	load shelfmon
}

workload() {
	service /usr/sbin/shelfd -c /etc/shelfd.steps
}
