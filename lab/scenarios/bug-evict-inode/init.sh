boot() {
	load manifestfs
	mkdir -p /mnt/manifests
	mount -t manifestfs none /mnt/manifests
	echo "car 214, lorry 17" >/mnt/manifests/0715
	echo "car 180, coach 3" >/mnt/manifests/0845
}

workload() {
	cat /mnt/manifests/0715 >/dev/null
	rm /mnt/manifests/0715
	log crossing 0930 is cancelled
	: >/mnt/manifests/0930
	sleep 0.5
	rm /mnt/manifests/0930
}
