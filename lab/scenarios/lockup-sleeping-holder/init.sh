boot() {
	load nvtbl
	service /usr/sbin/nvset -f -c /etc/first.steps
	service /usr/sbin/nvget -c /etc/second.steps
}
