boot() {
	load flashcal
	service /usr/sbin/caltool -f -c /etc/first.steps
	service /usr/sbin/calmond -c /etc/second.steps
}
