boot() {
	dd if=/dev/zero of=/tmp/srv.img bs=1k count=4096 2>/dev/null
	mke2fs -F /tmp/srv.img >/dev/null 2>&1
	mkdir /srv
	mount -t ext4 -o loop /tmp/srv.img /srv
	mkdir /srv/spool
}

workload() {
	(sleep 0.3; fsfreeze --freeze /srv; log "backup: /srv is frozen for the snapshot") &
	(sleep 1; echo job >/srv/spool/job1) &
	(sleep 1.2; mkdir /srv/spool/out) &
}
