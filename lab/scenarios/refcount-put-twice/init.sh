boot() {
	load tunsess
}

workload() {
	service /usr/sbin/vpn-agent -c /etc/vpn-agent.steps
}
