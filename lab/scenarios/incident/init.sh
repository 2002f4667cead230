SNAPSHOT_WITHOUT=slabinfo

boot() {
	service /opt/ds_agent/ds_agent -w /var/opt/ds_agent -b -c /etc/ds_agent/agent.conf
	# The module's addresses, while it is there.
	until grep -q vmsecmod /proc/modules; do
		sleep 0.1
	done
	cat /proc/modules >/run/notes/modules
	grep '\[vmsecmod\]' /proc/kallsyms >/run/notes/kallsyms
	until [ -e /run/licence-updated ]; do
		sleep 0.1
	done
	service /opt/automation/automationd --daemon -c /etc/automation/jobs.conf
}
