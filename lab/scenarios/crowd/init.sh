boot() {
	load sessdb
	app-workers 200 99 &
	until [ -e /run/workers ]; do
		sleep 0.5
	done
	log 20000 workers
}

workload() {
	service /usr/sbin/whod -c /etc/whod.steps
}
