boot() {
	load policyd
	service /usr/sbin/policy-agent --foreground -c /etc/policy.steps
}
