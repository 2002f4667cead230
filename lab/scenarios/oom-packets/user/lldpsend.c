// SPDX-License-Identifier: GPL-2.0
/* Sends frames of the LLDP type through a device, as a test of a link does. */
#include <arpa/inet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
	static unsigned char frame[3500];
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_halen = 6 };
	int sock = socket(AF_PACKET, SOCK_DGRAM, 0);

	at.sll_protocol = htons(0x88cc);
	at.sll_ifindex = if_nametoindex("lo");
	memset(frame, 0x7e, sizeof(frame));
	for (;;)
		if (sendto(sock, frame, sizeof(frame), 0, (struct sockaddr *)&at, sizeof(at)) < 0)
			usleep(1000);
}
