boot() {
	service /usr/sbin/named -u bind
	NAMED=$!
}

workload() {
	log inventory: started
	sleep 3
	env kill -HUP "$NAMED"
}
