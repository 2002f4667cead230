// SPDX-License-Identifier: GPL-2.0
/* Licence keeper. It takes a part of the memory that the unloaded scanner has left. */
#include "compat.h"

static char vmseclic_key[32] = "A7-31-9F-66";

/* Large enough to be put where the scanner was, small enough to leave the name's page unmapped. */
u32 vmseclic_revoked[32768] = { 0xa731 };

static int __init vmseclic_init(void)
{
	pr_info("vmseclic: valid, key %.5s..., %u revoked\n", vmseclic_key, vmseclic_revoked[1]);
	return 0;
}

static void __exit vmseclic_exit(void)
{
	memset(vmseclic_key, 0, sizeof(vmseclic_key));
}

module_init(vmseclic_init);
module_exit(vmseclic_exit);
MODULE_DESCRIPTION("Licence keeper");
MODULE_LICENSE("GPL");
