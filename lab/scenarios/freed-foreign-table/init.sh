boot() {
	load hubx
	load baro
}

workload() {
	echo recalibrate >/proc/baro
}
