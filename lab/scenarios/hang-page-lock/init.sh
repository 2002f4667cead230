boot() {
	load pgstage
	service /usr/sbin/stagefill -f -c /etc/first.steps
	service /usr/sbin/stageflush -c /etc/second.steps
}
