boot() {
	load netburst
}

workload() {
	rmmod netburst
	service /usr/sbin/tuned -c /etc/tuned.steps
}
