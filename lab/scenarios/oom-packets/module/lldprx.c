// SPDX-License-Identifier: GPL-2.0
/* Receives LLDP frames and keeps which neighbours were heard of. */
#include <linux/etherdevice.h>
#include <linux/netdevice.h>
#include "compat.h"

#define LLDP_ETHERTYPE 0x88cc
#define LLDP_CHASSIS 1
#define LLDP_NEIGHBOURS 32

struct lldp_neighbour {
	u8 address[ETH_ALEN];
	u16 heard;
	unsigned long last;
};

static struct lldp_neighbour lldp_neighbours[LLDP_NEIGHBOURS];
static DEFINE_SPINLOCK(lldp_lock);

static void lldp_heard(const u8 *address)
{
	struct lldp_neighbour *one = &lldp_neighbours[address[5] % LLDP_NEIGHBOURS];

	spin_lock_bh(&lldp_lock);
	ether_addr_copy(one->address, address);
	one->heard++;
	one->last = jiffies;
	spin_unlock_bh(&lldp_lock);
}

/* The mistake: a frame that does not begin with the chassis is not freed. */
static int lldp_receive(struct sk_buff *skb, struct net_device *device, struct packet_type *type,
			struct net_device *original)
{
	if (!pskb_may_pull(skb, 8) || skb->pkt_type == PACKET_OTHERHOST)
		goto out;
	if (skb->data[0] >> 1 != LLDP_CHASSIS)
		return NET_RX_SUCCESS;
	lldp_heard(eth_hdr(skb)->h_source);
out:
	kfree_skb(skb);
	return NET_RX_SUCCESS;
}

static struct packet_type lldp_type = {
	.type = htons(LLDP_ETHERTYPE),
	.func = lldp_receive,
};

static int __init lldp_init(void)
{
	dev_add_pack(&lldp_type);
	return 0;
}

static void __exit lldp_exit(void)
{
	dev_remove_pack(&lldp_type);
}

module_init(lldp_init);
module_exit(lldp_exit);
MODULE_DESCRIPTION("LLDP receiver");
MODULE_LICENSE("GPL");
