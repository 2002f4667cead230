boot() {
	load blkcache
}

workload() {
	service /usr/sbin/cachefilesd -n -c /etc/cachefilesd.steps
	service /usr/sbin/bcacheadm -c /etc/bcacheadm.steps
}
