boot() {
	load wearlog slots=2
}

workload() {
	service /usr/sbin/smartd -n -c /etc/smartd.steps
}
