boot() {
	load pagecensus
	service /usr/bin/censusctl -c /etc/censusctl.steps
}
