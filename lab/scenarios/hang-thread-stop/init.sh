boot() {
	load uplink
	(sleep 0.8; rmmod uplink) &
}
