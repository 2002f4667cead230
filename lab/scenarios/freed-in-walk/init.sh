boot() {
	load keywrap
}

workload() {
	service /usr/sbin/kmipd -c /etc/kmipd.steps
}
