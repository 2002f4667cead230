workload() {
	log "operator: hang investigation, taking a dump"

	setsid sh -c 'sleep 1; echo c >/proc/sysrq-trigger' &
}
