// SPDX-License-Identifier: GPL-2.0
/* Accounts for VLANs; the list of devices must not change meanwhile. */
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include "control.h"

static unsigned int vac_counts[4096];

static noinline void vac_count(unsigned int vlan)
{
	struct net_device *device;

	for_each_netdev(&init_net, device)
		vac_counts[vlan] += device->mtu;
}

/* The mistake: a number out of range keeps the RTNL. */
static noinline int vac_add(unsigned int vlan)
{
	rtnl_lock();
	if (vlan >= ARRAY_SIZE(vac_counts))
		return -ERANGE;
	vac_count(vlan);
	rtnl_unlock();
	return 0;
}

static int vac_command(char *text)
{
	unsigned int vlan;

	return sscanf(text, "add %u", &vlan) == 1 ? vac_add(vlan) : -EINVAL;
}

CONTROL_FILE(vac, vac_command);

static int __init vac_init(void)
{

	return CONTROL_CREATE(vac, "vlanacct");
}

static void __exit vac_exit(void)
{
	CONTROL_REMOVE("vlanacct");
}

module_init(vac_init);
module_exit(vac_exit);
MODULE_DESCRIPTION("VLAN accounting");
MODULE_LICENSE("GPL");
