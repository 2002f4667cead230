boot() {
	load sealbox
}

workload() {
	service /usr/sbin/sealauditd -c /etc/auditd.steps
}
