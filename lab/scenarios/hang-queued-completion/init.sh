boot() {
	load fwstage
	service /usr/sbin/fwloadd -f -c /etc/first.steps
	service /usr/sbin/fwstat -c /etc/second.steps
}
