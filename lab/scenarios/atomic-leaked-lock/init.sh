boot() {
	load quotad
}

workload() {
	service /usr/sbin/rpc.rquotad -F -c /etc/rquotad.steps
}
