boot() {
	load turnouts
	echo 400 >/sys/kernel/debug/turnouts/pause
}

workload() {
	service /usr/sbin/signalboxd -c /etc/signalbox.steps
}
