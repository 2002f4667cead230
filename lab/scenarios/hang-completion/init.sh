boot() {
	load ctrlxp
	service /usr/sbin/mcelogd --daemon -c /etc/mcelogd.steps
}
