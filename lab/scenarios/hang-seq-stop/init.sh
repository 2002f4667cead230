boot() {
	load tenants
	cat /proc/tenants >/tmp/tenants
	service /usr/sbin/poold -c /etc/poold.steps
}
