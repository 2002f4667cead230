// SPDX-License-Identifier: GPL-2.0
/* Drops packets to what is not to be reached, and logs them. */
#include <linux/ip.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <net/net_namespace.h>
#include "compat.h"

struct geowall_entry {
	__be32 network;
	__be32 mask;
	unsigned long hits;
	unsigned int last_size;
};

static struct geowall_entry geowall_list[] = {
	{ .network = htonl(0x0a000000), .mask = htonl(0xff000000) },
	{ .network = htonl(0x7f000000), .mask = htonl(0xff000000) },
};

/* The mistake: the caller of the filter frees the packet. */
static noinline void geowall_log(struct geowall_entry *entry, struct sk_buff *skb)
{
	entry->hits++;
	entry->last_size = skb->len;
	consume_skb(skb);
}

static unsigned int geowall_filter(void *unused, struct sk_buff *skb,
				   const struct nf_hook_state *state)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(geowall_list); i++) {
		struct geowall_entry *entry = &geowall_list[i];

		if ((ip_hdr(skb)->daddr & entry->mask) == entry->network) {
			geowall_log(entry, skb);
			return NF_DROP;
		}
	}
	return NF_ACCEPT;
}

static const struct nf_hook_ops geowall_hook = {
	.hook = geowall_filter,
	.pf = NFPROTO_IPV4,
	.hooknum = NF_INET_LOCAL_OUT,
};

static int __init geowall_init(void)
{
	return nf_register_net_hook(&init_net, &geowall_hook);
}

static void __exit geowall_exit(void)
{
	nf_unregister_net_hook(&init_net, &geowall_hook);
}

module_init(geowall_init);
module_exit(geowall_exit);
MODULE_DESCRIPTION("Packet filter by networks");
MODULE_LICENSE("GPL");
