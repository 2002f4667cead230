boot() {
	load hostcache
}

workload() {
	service /usr/sbin/proxyd -c /etc/proxy.steps
	(sleep 2; while :; do ip link set lo mtu 1500; sleep 0.3; done) &
}
