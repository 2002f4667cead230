workload() {
	setsid reportgen --month 11 </dev/null >/dev/null 2>&1 &
	(while :; do ls -lR /proc/self/ >/tmp/out 2>&1; sleep 0.1; done) &
}
