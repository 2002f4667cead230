boot() {
	load mailhub
}

workload() {
	service /usr/sbin/mailstat -c /etc/mailstat.steps
}
