// SPDX-License-Identifier: GPL-2.0
/* Writes down a scan when it is ready. */
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct pollfd scan = {
		.fd = open(argc > 1 ? argv[1] : "/dev/null", O_RDWR),
		.events = POLLIN,
	};

	if (write(scan.fd, "start", 5) != 5 || write(scan.fd, "discard", 7) != 7)
		return 1;
	return poll(&scan, 1, 1000) < 0;
}
