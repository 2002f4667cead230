// SPDX-License-Identifier: GPL-2.0
/* app-clients PROCESSES THREADS FILE: as many processes, each with as many threads besides its first, which read a file. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *path;

static void *ask(void *unused)
{
	char answer[16];
	int file = open(path, O_RDONLY);

	if (file < 0 || read(file, answer, sizeof(answer)) < 0)
		perror(path);
	return unused;
}

static void *work(void *unused)
{
	for (;;)
		pause();
	return unused;
}

int main(int argc, char **argv)
{
	path = argc > 3 ? argv[3] : "/dev/null";
	int processes = argc > 1 ? atoi(argv[1]) : 1, threads = argc > 2 ? atoi(argv[2]) : 1;
	int *ready = mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	for (int p = 0; p < processes; p++) {
		if (fork())
			continue;
		pthread_attr_t small;

		pthread_attr_init(&small);
		pthread_attr_setstacksize(&small, 16384);
		for (int t = 0; t < threads; t++) {
			pthread_t thread;

			if (pthread_create(&thread, &small, ask, NULL))
				perror("app-clients");
		}
		__atomic_add_fetch(ready, 1, __ATOMIC_SEQ_CST);
		work(NULL);
	}
	while (__atomic_load_n(ready, __ATOMIC_SEQ_CST) < processes)
		usleep(100000);
	close(open("/run/clients", O_CREAT | O_WRONLY, 0600));
	work(NULL);
}
