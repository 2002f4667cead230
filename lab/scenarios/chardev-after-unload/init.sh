boot() {
	load entrng
}

workload() {
	service /usr/sbin/rngd -c /etc/rngd.steps
	sleep 0.3
	rmmod entrng
}
