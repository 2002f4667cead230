boot() {
	load uplinkser
	ip link set ser0 up
	ip addr add 10.7.0.1/24 dev ser0
}
workload() {
	service /usr/sbin/uplinkd -c /etc/uplinkd.steps
}
