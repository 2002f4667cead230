// SPDX-License-Identifier: GPL-2.0
/* Beacons of a wireless network: the name of the network is set by user space. */
#include "control.h"

struct bcn_state {
	u32 channel;
	u32 length;
	char ssid[32];
};

static struct bcn_state bcn_state;

/* The mistake: the length is the user's. */
static noinline void bcn_set_ssid(const char *text, size_t length)
{
	memcpy(bcn_state.ssid, text, length);
	bcn_state.length = length;
}

static int bcn_command(char *text)
{
	bcn_set_ssid(text, strlen(text));
	return 0;
}

CONTROL_FILE(bcn, bcn_command);

static int __init bcn_init(void)
{
	return CONTROL_CREATE(bcn, "beacon");
}

static void __exit bcn_exit(void)
{
	CONTROL_REMOVE("beacon");
}

module_init(bcn_init);
module_exit(bcn_exit);
MODULE_DESCRIPTION("Beacons");
MODULE_LICENSE("GPL");
