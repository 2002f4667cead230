SNAPSHOT_WITHOUT=timer_list

workload() {
	load chassis_mon interval=1500
	rmmod chassis_mon
}
