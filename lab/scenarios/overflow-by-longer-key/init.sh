boot() {
	load keyvault
}

workload() {
	service /usr/sbin/vaultd -c /etc/vaultd.steps
}
