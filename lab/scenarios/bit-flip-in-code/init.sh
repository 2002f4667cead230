SNAPSHOT_WITHOUT=uptime

boot() {
	log inventory: started
	sleep 3
}

workload() {
	cat /proc/uptime >/tmp/uptime
}
