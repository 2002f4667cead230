boot() {
	load volmgr
}

workload() {
	cat /proc/volmgr >/tmp/volumes
}
