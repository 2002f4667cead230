SNAPSHOT_WITHOUT=timer_list

boot() {
	load chassis_mon interval=1500
	rmmod chassis_mon
}
