boot() {
	load leasedb
}

workload() {
	service /usr/sbin/leased -c /etc/leased.steps
	sleep 1
	app-workers 200 99 /dev/leasedb &
	until [ -e /run/workers ]; do
		sleep 0.5
	done
	log 20000 workers
	echo 15 > /proc/sys/kernel/hung_task_timeout_secs
}
