boot() {
	load tapctl
	service /usr/sbin/tapd -f -c /etc/first.steps
	service /usr/sbin/tapctl -c /etc/second.steps
}
