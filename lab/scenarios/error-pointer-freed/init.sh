boot() {
	load zonerule
}

workload() {
	service /usr/sbin/ptpd -c /etc/ptpd.steps
}
