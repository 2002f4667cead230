// SPDX-License-Identifier: GPL-2.0
/* Socket statistics which, as iproute2's older "ss -s" did, takes counts from /proc/slabinfo. */
#include <stdio.h>
#include <string.h>

static unsigned long slab_objects(const char *wanted)
{
	char line[512], name[64];
	unsigned long active, total = 0;
	FILE *slabinfo = fopen("/proc/slabinfo", "r");

	while (slabinfo && fgets(line, sizeof(line), slabinfo))
		if (sscanf(line, "%63s %lu", name, &active) == 2 && !strcmp(name, wanted))
			total = active;
	if (slabinfo)
		fclose(slabinfo);
	return total;
}

int main(void)
{
	char line[256];
	FILE *sockstat = fopen("/proc/net/sockstat", "r");

	while (sockstat && fgets(line, sizeof(line), sockstat))
		fputs(line, stdout);
	printf("kernel %lu TCP slabs\n", slab_objects("TCP"));
	return 0;
}
