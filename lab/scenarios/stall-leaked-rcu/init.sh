boot() {
	load zonemap
	service /usr/sbin/zoned -c /etc/zoned.steps
	service /usr/sbin/zonegc -c /etc/zonegc.steps
}
