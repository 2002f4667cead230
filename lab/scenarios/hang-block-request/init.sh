boot() {
	load rvdisk
	mke2fs -F /dev/rvd0 >/dev/null 2>&1
	mkdir -p /srv
	mount -t ext4 /dev/rvd0 /srv
}

workload() {
	echo coalesce >/proc/rvdisk
	for i in 1 2 3 4; do
		(dd if=/dev/zero of=/srv/spool$i bs=64k count=8 conv=fsync 2>/dev/null) &
	done
}
