boot() {
	load fbshadow
}

workload() {
	(sleep 0.3; screencast /dev/fbshadow) &
}
