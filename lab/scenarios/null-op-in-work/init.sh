boot() {
	load lcdpanel delay=2500
	load segment7
}
