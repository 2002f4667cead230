boot() {
	load senshub
}

workload() {
	service /usr/sbin/iio-daemon -c /etc/iio.steps
}
