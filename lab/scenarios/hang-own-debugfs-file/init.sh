boot() {
	load fwdtrace
	service /usr/sbin/fwdctl -c /etc/fwdctl.steps
}
