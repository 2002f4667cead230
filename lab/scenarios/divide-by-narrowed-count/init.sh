boot() {
	load oldgeo
}

workload() {
	echo "16 63" >/sys/module/oldgeo/parameters/geometry
	dd if=/dev/ogeo0 of=/dev/null bs=512 count=1 2>/dev/null
	echo "256 63" >/sys/module/oldgeo/parameters/geometry
	service /usr/sbin/hd-server -c /etc/hd.steps
}
