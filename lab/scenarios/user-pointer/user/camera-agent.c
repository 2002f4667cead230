// SPDX-License-Identifier: GPL-2.0
/* Names the cameras at start. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>

int main(void)
{
	char label[64] = "gate-2-east";
	int camera = open("/dev/camctl", O_RDWR);

	if (camera < 0 || ioctl(camera, 0x4301, label) < 0)
		perror("camera-agent");
	return 0;
}
