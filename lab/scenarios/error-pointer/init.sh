boot() {
	load certstore
}

workload() {
	service /usr/sbin/certd -c /etc/certd.steps
}
