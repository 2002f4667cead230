boot() {
	load flowtab
	service /usr/sbin/flowd -i lo -c /etc/flowd.steps
}
