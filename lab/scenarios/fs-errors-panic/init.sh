boot() {
	dd if=/dev/zero of=/tmp/data.img bs=1k count=8192 2>/dev/null
	mke2fs -F /tmp/data.img >/dev/null 2>&1
	mknod /dev/loop0 b 7 0 2>/dev/null
	mkdir /data
	mount -t ext4 -o loop,errors=panic /tmp/data.img /data || echo "mount failed" >/dev/console
	mkdir /data/archive
	echo record >/data/archive/log
	umount /data
	# A cable that drops bits: the directory's block is overwritten.
	block=200
	while [ $block -lt 1200 ]; do
		if dd if=/tmp/data.img bs=1k skip=$block count=1 2>/dev/null | grep -q "log"; then
			dd if=/dev/urandom of=/tmp/data.img bs=1k seek=$block count=1 conv=notrunc 2>/dev/null
		fi
		block=$((block + 1))
	done
}

workload() {
	mount -t ext4 -o loop,errors=panic /tmp/data.img /data
	(sleep 0.5; find /data -name log -exec cat {} \;; touch /data/archive/new) >/dev/null 2>&1 &
}
