boot() {
	load tilemap
}

workload() {
	service /usr/sbin/mapd -c /etc/mapd.steps
}
