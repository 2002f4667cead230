boot() {
	load spectro
}

workload() {
	(sleep 0.3; scanlog /dev/spectro) &
}
