boot() {
	load nbrtab
}

workload() {
	service /usr/sbin/lldpd -c /etc/lldpd.steps
}
