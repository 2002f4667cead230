boot() {
	load arcpack
	service /usr/sbin/arcd -f -c /etc/first.steps
	service /usr/sbin/arcctl -c /etc/second.steps
}
