boot() {
	load probehub
	service /usr/sbin/sensord -f -c /etc/sensord.steps
	service /usr/bin/node_exporter --collector.hwmon -c /etc/exporter.steps
	service /usr/sbin/zabbix_agentd -f -c /etc/exporter.steps
}

workload() {
	(sleep 14; log "operator: the monitoring hangs"; echo c >/proc/sysrq-trigger) &
}
