// SPDX-License-Identifier: GPL-2.0
/* Greets the ring. */
#include <stdio.h>
#include <sys/socket.h>

int main(void)
{
	int ring = socket(19, SOCK_DGRAM, 0);

	if (ring < 0 || send(ring, "hello", 5, 0) < 0)
		perror("ringd");
	return 0;
}
