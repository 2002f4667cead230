boot() {
	load archfs
}

workload() {
	rmmod archfs
	(sleep 0.5; mount /dev/nothing /mnt) &
}
