boot() {
	load flowtab
}

workload() {
	service /usr/sbin/flowd -i lo -c /etc/flowd.steps
}
