boot() {
	load vlnk
}

workload() {
	service /usr/sbin/linkmgr -c /etc/linkmgr.steps
}
