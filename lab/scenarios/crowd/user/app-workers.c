// SPDX-License-Identifier: GPL-2.0
/* app-workers PROCESSES THREADS [FILE]: as many processes, each with as many threads besides its
 * first. All of them read the file, if there is one, and wait. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *path;

static void *work(void *unused)
{
	char answer[16];
	int file = path ? open(path, O_RDONLY) : -1;

	if (path && (file < 0 || read(file, answer, sizeof(answer)) < 0))
		perror(path);
	for (;;)
		pause();
	return unused;
}

int main(int argc, char **argv)
{
	int processes = argc > 1 ? atoi(argv[1]) : 1, threads = argc > 2 ? atoi(argv[2]) : 1;
	int *ready = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	path = argc > 3 ? argv[3] : NULL;
	for (int p = 0; p < processes; p++) {
		if (fork())
			continue;
		pthread_attr_t small;

		pthread_attr_init(&small);
		pthread_attr_setstacksize(&small, 16384);
		for (int t = 0; t < threads; t++) {
			pthread_t thread;

			if (pthread_create(&thread, &small, work, NULL))
				perror("app-workers");
		}
		__atomic_add_fetch(ready, 1, __ATOMIC_SEQ_CST);
		work(NULL);
	}
	while (__atomic_load_n(ready, __ATOMIC_SEQ_CST) < processes)
		usleep(100000);
	close(open("/run/workers", O_CREAT | O_WRONLY, 0600));
	work(NULL);
}
