boot() {
	load jrnlog
}

workload() {
	echo 1 >/sys/kernel/debug/jrnlog_queue
	echo 1 >/sys/kernel/debug/jrnlog_reset
}
