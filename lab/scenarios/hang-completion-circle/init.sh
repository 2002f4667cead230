boot() {
	load camctl
	service /usr/sbin/camd -f -c /etc/first.steps
	service /usr/sbin/camstat -c /etc/second.steps
}
