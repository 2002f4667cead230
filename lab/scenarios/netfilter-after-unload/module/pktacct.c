// SPDX-License-Identifier: GPL-2.0
/* Accounts packets by an IPv4 hook. */
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <net/net_namespace.h>
#include "compat.h"

static atomic64_t pktacct_bytes;

static unsigned int pktacct_hook(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	atomic64_add(skb->len, &pktacct_bytes);
	return NF_ACCEPT;
}

static const struct nf_hook_ops pktacct_ops = {
	.hook = pktacct_hook,
	.pf = NFPROTO_IPV4,
	.hooknum = NF_INET_LOCAL_OUT,
	.priority = NF_IP_PRI_FIRST,
};

static int __init pktacct_init(void)
{
	return nf_register_net_hook(&init_net, &pktacct_ops);
}

/* The mistake: no nf_unregister_net_hook(). */
static void __exit pktacct_exit(void)
{
	pr_info("pktacct: unloaded, %lld bytes seen\n", (long long)atomic64_read(&pktacct_bytes));
}

module_init(pktacct_init);
module_exit(pktacct_exit);
MODULE_DESCRIPTION("Packet accounting");
MODULE_LICENSE("GPL");
