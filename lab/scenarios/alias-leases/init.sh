boot() {
	load aliaslease
	echo "grant 7 70" >/proc/leasectl
	echo "grant 8 80" >/proc/leasectl
	echo "grant 9 90" >/proc/leasectl
	cat /proc/leases
	echo "revoke 8" >/proc/leasectl
}
workload() {
	service /usr/sbin/leased -c /etc/leased.steps
}
