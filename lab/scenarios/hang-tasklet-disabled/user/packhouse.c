// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct eggrade_bands {
	uint32_t upper[4];
};

#define EGGRADE_START _IO('g', 1)
#define EGGRADE_STOP _IO('g', 2)
#define EGGRADE_SET_BANDS _IOW('g', 3, struct eggrade_bands)

int main(void)
{
	struct eggrade_bands spring = { { 530, 630, 730, 900 } };
	struct eggrade_bands autumn = { { 530, 730, 630, 900 } };
	int line = open("/dev/eggrade0", O_RDWR);
	char text[128];

	if (ioctl(line, EGGRADE_SET_BANDS, &spring))
		perror("bands");
	ioctl(line, EGGRADE_START);
	usleep(600000);
	if (read(line, text, sizeof(text)) < 0)
		perror("read");
	ioctl(line, EGGRADE_STOP);
	ioctl(line, EGGRADE_START);
	usleep(300000);
	if (ioctl(line, EGGRADE_SET_BANDS, &autumn))
		perror("bands");
	usleep(300000);
	ioctl(line, EGGRADE_STOP);
	for (;;)
		pause();
}
