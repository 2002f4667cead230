boot() {
	load drumdsk
}

workload() {
	dd if=/dev/zero of=/dev/drum0 bs=64k count=2 conv=fsync 2>/dev/null
	echo "layout 4" >/proc/drumdsk
	dd if=/dev/zero of=/dev/drum0 bs=64k count=2 conv=fsync 2>/dev/null
	echo "layout 99" >/proc/drumdsk
	dd if=/dev/zero of=/dev/drum0 bs=64k count=2 conv=fsync 2>/dev/null &
}
