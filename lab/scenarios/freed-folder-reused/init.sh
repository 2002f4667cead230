boot() {
	load tidelog
	load bayshelf
}

workload() {
	service /usr/sbin/shelfd -c /etc/shelfd.steps
}
