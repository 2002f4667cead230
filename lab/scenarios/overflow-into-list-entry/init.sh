boot() {
	load berthlog
	berth=0
	# Neighbours in memory are in no order: there have to be many.
	while [ $berth -lt 128 ]; do
		echo "add $berth" >/proc/berthlog
		berth=$((berth + 1))
	done
}

workload() {
	service /usr/sbin/portd -c /etc/portd.steps
}
