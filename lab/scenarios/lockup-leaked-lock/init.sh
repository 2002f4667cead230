boot() {
	load wearlog slots=2
	service /usr/sbin/smartd -n -c /etc/smartd.steps
}
