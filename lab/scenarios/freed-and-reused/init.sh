boot() {
	load notepad
	load flowtab
}

workload() {
	service /usr/sbin/flowd -c /etc/flowd.steps
	sleep 0.6
	service /usr/sbin/noted -c /etc/noted.steps
	sleep 0.6
	cat /proc/flowtab >/tmp/flows
}
