workload() {
	log "backup: started"
	sleep 1
	(dd if=/dev/vda of=/dev/null bs=64k 2>/dev/null) &
	(sleep 0.5; dd if=/dev/vda of=/dev/null bs=4k skip=100 2>/dev/null) &
}
