boot() {
	load metricpush
	service /usr/sbin/collectctl -c /etc/collectctl.steps
	service /usr/sbin/collectd -c /etc/collectd.steps
}
