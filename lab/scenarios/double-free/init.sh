boot() {
	load fwupload
}

workload() {
	service /usr/bin/fwupdmgr -c /etc/fwupd.steps
}
