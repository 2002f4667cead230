boot() {
	load sesstrack
}

workload() {
	service /usr/sbin/haproxy -W -c /etc/haproxy.steps
}
