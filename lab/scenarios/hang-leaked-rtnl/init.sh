boot() {
	load vlanacct
	service /usr/sbin/vlanacctd -f -c /etc/first.steps
}

workload() {
	(sleep 1.5; ip link set lo mtu 1500) &
	(sleep 2; ip link set lo mtu 1400) &
}
