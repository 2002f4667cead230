boot() {
	load licensemgr
	service /usr/bin/lmutil -c /etc/lmutil.steps
	service /usr/sbin/lmgrd -z -c /etc/lmgrd.steps
}
