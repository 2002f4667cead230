boot() {
	load doorbell
	service /usr/sbin/ibacm -c /etc/ibacm.steps
}
