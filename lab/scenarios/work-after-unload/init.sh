workload() {
	load replog
	service /usr/sbin/replicad -n -c /etc/replicad.conf
}
