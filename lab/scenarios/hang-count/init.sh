boot() {
	load cryptoff
	service /usr/sbin/charon -c /etc/charon.steps
}
