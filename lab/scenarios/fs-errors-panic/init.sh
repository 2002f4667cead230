boot() {
	dd if=/dev/zero of=/tmp/data.img bs=1k count=8192 2>/dev/null
	mke2fs -F /tmp/data.img >/dev/null 2>&1
	mknod /dev/loop0 b 7 0 2>/dev/null
	mkdir /data
	mount -t ext4 -o loop,errors=panic /tmp/data.img /data || echo "mount failed" >/dev/console
	for day in 1 2 3; do
		mkdir /data/day$day
		echo record >/data/day$day/log
	done
	umount /data
	# A cable that drops bits: the directories' blocks are overwritten.
	block=40
	while [ $block -lt 1200 ]; do
		if dd if=/tmp/data.img bs=1k skip=$block count=1 2>/dev/null | grep -q "log"; then
			dd if=/dev/urandom of=/tmp/data.img bs=1k seek=$block count=1 conv=notrunc 2>/dev/null
		fi
		block=$((block + 1))
	done
}

workload() {
	mount -t ext4 -o loop,errors=panic /tmp/data.img /data
	(sleep 0.5; find /data -name log -exec cat {} \;; touch /data/day2/new) >/dev/null 2>&1 &
}
