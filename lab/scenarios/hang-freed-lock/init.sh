boot() {
	load snapvol
}

workload() {
	service /usr/sbin/snapd -c /etc/snapd.steps
	sleep 0.5
	service /usr/sbin/snapctl -c /etc/snapctl.steps
}
