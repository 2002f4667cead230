boot() {
	load nandx
}

workload() {
	service /usr/sbin/ubiattach -c /etc/ubi.steps
	service /usr/sbin/mtdstat -c /etc/mtdstat.steps
}
