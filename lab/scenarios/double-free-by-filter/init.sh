boot() {
	load geowall
}

workload() {
	(sleep 0.2; resolvd) &
}
