boot() {
	load printgad
}

workload() {
	service /usr/sbin/lpd-gadget -c /etc/lpd.steps
}
