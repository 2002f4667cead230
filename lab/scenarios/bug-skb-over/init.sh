boot() {
	load tlmxport
}

workload() {
	service /usr/sbin/telegraf --quiet -c /etc/telegraf.steps
}
