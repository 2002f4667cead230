boot() {
	load mirrorfs
	service /usr/sbin/lsyncd -nodaemon -c /etc/lsyncd.steps
}
