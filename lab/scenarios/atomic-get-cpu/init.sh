boot() {
	load pclog
}

workload() {
	service /usr/sbin/auditd -n -c /etc/auditd.steps
}
