workload() {
	(sleep 1; echo "nginx ready" >/dev/console) &
}
