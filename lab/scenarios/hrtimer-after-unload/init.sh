SNAPSHOT_WITHOUT=timer_list

boot() {
	load pwmbeep
	load ledtrig
}

workload() {
	rmmod pwmbeep
	rmmod ledtrig
}
