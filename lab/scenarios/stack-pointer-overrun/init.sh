boot() {
	load ruleword
}

workload() {
	service /usr/sbin/ruled -c /etc/ruled.steps
}
