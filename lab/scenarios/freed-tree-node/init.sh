boot() {
	load leasedb
}

workload() {
	service /usr/sbin/dhcpd -c /etc/dhcpd.steps
}
