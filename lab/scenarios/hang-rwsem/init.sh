boot() {
	load lutmap
	service /usr/sbin/mapperd -c /etc/mapperd.steps
	service /usr/sbin/multipathd -d -c /etc/multipath.steps
}
