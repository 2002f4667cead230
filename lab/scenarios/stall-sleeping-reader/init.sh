boot() {
	load routex
	service /usr/sbin/bird -f -c /etc/first.steps
	service /usr/sbin/zebra -c /etc/second.steps
}
