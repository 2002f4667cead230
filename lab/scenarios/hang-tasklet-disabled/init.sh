boot() {
	load eggrade
}

workload() {
	mkdir -p /usr/sbin
	ln -s /usr/bin/packhouse /usr/sbin/packhouse
	setsid /usr/sbin/packhouse </dev/null >/dev/null 2>&1 &
	service /usr/sbin/tallyd -c /etc/tallyd.steps
}
