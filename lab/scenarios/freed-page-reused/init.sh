boot() {
	load cmdlog
	load desctab
}

workload() {
	service /usr/sbin/descd -c /etc/descd.steps
	sleep 0.6
	cat /proc/desctab >/tmp/descriptors
}
