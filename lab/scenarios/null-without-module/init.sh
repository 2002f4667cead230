workload() {
	service /usr/sbin/logship -c /etc/logship.steps
}
