boot() {
	load tapecar
	service /usr/sbin/tapectl -c /etc/tapectl.steps
	service /usr/sbin/amandad -c /etc/amandad.steps
	(sleep 16; echo "the guest does not answer" >/dev/console) &
}
