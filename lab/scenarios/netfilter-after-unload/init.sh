boot() {
	load pktacct
	(sleep 1; ping -c 3 127.0.0.1) &
}

workload() {
	rmmod pktacct
}
