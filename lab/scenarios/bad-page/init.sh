boot() {
	load dmaring
}

workload() {
	service /usr/sbin/dpdk-proxy -c /etc/dpdk.steps
}
