boot() {
	load pumpctl
}

workload() {
	sleep 0.4
	echo pumpctl.0 >/sys/bus/platform/drivers/pumpctl/unbind
}
