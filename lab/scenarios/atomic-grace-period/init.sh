boot() {
	load tagmap
}

workload() {
	service /usr/sbin/collectord -c /etc/collectord.steps
}
