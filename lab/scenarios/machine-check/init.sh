workload() {
	log "stress: checking 64 MB of memory"
	sleep 60
}
