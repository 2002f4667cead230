boot() {
	load rxacct
	load bannerd
}

workload() {
	service /usr/sbin/motd-update -c /etc/motd.steps
	sleep 0.7
	cat /proc/rxacct >/tmp/ports
}
