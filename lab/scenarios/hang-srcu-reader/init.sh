boot() {
	load evlisten
	service /usr/sbin/evpostd -f -c /etc/first.steps
	service /usr/sbin/evctl -c /etc/second.steps
}
