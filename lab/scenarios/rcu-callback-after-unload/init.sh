boot() {
	load rtable
	# A reader keeps the grace period open while the module goes.
	service /usr/sbin/routed -c /etc/routed.conf
	sleep 1
}

workload() {
	rmmod rtable
}
