// SPDX-License-Identifier: GPL-2.0
/* Writes traces to a file for ever. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static char line[65536];

int main(void)
{
	int file = open("/run/trace/all.log", O_WRONLY | O_CREAT | O_APPEND, 0640);

	memset(line, 't', sizeof(line));
	while (write(file, line, sizeof(line)) > 0)
		;
	for (;;)
		pause();
}
