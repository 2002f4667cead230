boot() {
	load stripeset
	(sleep 1.5; cat /proc/stripe_status >/tmp/status) &
}
