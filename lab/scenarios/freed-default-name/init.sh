boot() {
	load stagelight
}

workload() {
	service /usr/sbin/lightdeskd -c /etc/lightdesk.steps
}
