boot() {
	load dbstat
	service /usr/sbin/collectd -C /etc/collectd.conf -c /etc/collectd.steps
	sleep 0.3
	rmmod dbstat
}
