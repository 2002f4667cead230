boot() {
	load neighx
}

workload() {
	service /usr/sbin/bgpd -d -c /etc/bgpd.steps
	(sleep 2; while :; do ip link set lo mtu 1500; sleep 0.3; done) &
}
