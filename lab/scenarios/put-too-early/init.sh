boot() {
	load strmbuf
}

workload() {
	service /usr/sbin/mediad -c /etc/mediad.steps
}
