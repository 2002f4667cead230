workload() {
	service /usr/sbin/netd
}
