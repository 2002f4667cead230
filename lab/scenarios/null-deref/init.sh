boot() {
	insmod /lib/modules/$(uname -r)/extra/telemdrv.ko
	service /usr/sbin/telemd -f -c /etc/telemd.conf
}
