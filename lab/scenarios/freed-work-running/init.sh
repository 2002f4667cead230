boot() {
	load humidor
	service /usr/sbin/cabinetd -c /etc/cabinetd.steps
}
