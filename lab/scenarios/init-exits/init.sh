workload() {
	log "init: re-executing"
	exec /usr/bin/initctl --reexec
}
