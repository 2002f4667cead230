boot() {
	load policyd
}

workload() {
	service /usr/sbin/policy-agent --foreground -c /etc/policy.steps
}
