boot() {
	load exprs
}

workload() {
	service /usr/sbin/ruleset-compiler -c /etc/ruleset.steps
}
