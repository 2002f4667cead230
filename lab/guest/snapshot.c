// SPDX-License-Identifier: GPL-2.0
/*
 * snapshot DEVICE [WITHOUT]...: saves files of /proc as a tar archive on a disk, as they are now.
 * They are what a dump taken a moment later must agree with. WITHOUT names files left out. What the
 * scenario itself noted in /run/notes is saved too.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 512

static const char *const system_files[] = {
	"buddyinfo", "cmdline", "cpuinfo", "devices", "diskstats", "filesystems", "interrupts", "iomem",
	"loadavg", "locks", "meminfo", "misc", "modules", "mounts", "net/dev", "net/tcp", "net/unix",
	"pagetypeinfo", "partitions", "schedstat", "self/mountinfo", "slabinfo", "softirqs", "stat",
	"swaps", "sys/kernel/hostname", "sys/kernel/osrelease", "sys/kernel/panic_on_oops",
	"sys/kernel/sysrq", "sys/kernel/tainted", "sys/kernel/version", "timer_list", "uptime",
	"version", "vmallocinfo", "vmstat", "zoneinfo",
};

static const char *const task_files[] = {
	"cmdline", "comm", "environ", "limits", "maps", "mountinfo", "stack", "stat", "statm", "status",
	"syscall", "wchan",
};

static int device;
static char content[1 << 20];

static void put(const void *data, size_t size)
{
	static const char zeros[BLOCK];

	if (write(device, data, size) < 0 || (size % BLOCK && write(device, zeros, BLOCK - size % BLOCK) < 0))
		exit(1);
}

static void put_file(const char *path, size_t size)
{
	unsigned char header[BLOCK] = { 0 };
	unsigned int sum = 8 * ' ';

	snprintf((char *)header, 100, "%s", path);
	snprintf((char *)header + 100, 8, "%07o", 0644);
	snprintf((char *)header + 124, 12, "%011zo", size);
	header[156] = '0';
	memcpy(header + 257, "ustar\00000", 8);
	for (int i = 0; i < BLOCK; i++)
		sum += header[i];
	snprintf((char *)header + 148, 8, "%06o", sum);
	put(header, BLOCK);
	put(content, size);
}

static void save(const char *folder, const char *path)
{
	char full[600];
	size_t size = 0;
	ssize_t got;

	snprintf(full, sizeof(full), "%s/%s", folder, path);
	int file = open(full, O_RDONLY);

	if (file < 0)
		return;
	while (size < sizeof(content) && (got = read(file, content + size, sizeof(content) - size)) > 0)
		size += got;
	close(file);
	put_file(path, size);
}

/* The open files of a task, a line each: number, tab, target. */
static void save_links(const char *task)
{
	char path[300];
	size_t size = 0;
	struct dirent *entry;

	snprintf(path, sizeof(path), "/proc/%s/fd", task);
	DIR *folder = opendir(path);

	while (folder && (entry = readdir(folder))) {
		char target[200];
		ssize_t length = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);

		if (length > 0)
			size += snprintf(content + size, sizeof(content) - size, "%s\t%.*s\n",
					 entry->d_name, (int)length, target);
	}
	if (folder)
		closedir(folder);
	snprintf(path, sizeof(path), "%s/fd", task);
	put_file(path, size);
}

int main(int argc, char **argv)
{
	struct dirent *entry;
	DIR *proc = opendir("/proc");

	device = argc > 1 ? open(argv[1], O_WRONLY) : -1;
	if (device < 0 || !proc)
		return 1;
	for (size_t i = 0; i < sizeof(system_files) / sizeof(*system_files); i++) {
		int wanted = 1;

		for (int j = 2; j < argc; j++)
			wanted &= strcmp(argv[j], system_files[i]) != 0;
		if (wanted)
			save("/proc", system_files[i]);
	}
	while ((entry = readdir(proc))) {
		if (!isdigit(entry->d_name[0]))
			continue;
		for (size_t i = 0; i < sizeof(task_files) / sizeof(*task_files); i++) {
			char path[300];

			snprintf(path, sizeof(path), "%s/%s", entry->d_name, task_files[i]);
			save("/proc", path);
		}
		save_links(entry->d_name);
	}
	DIR *notes = opendir("/run/notes");

	while (notes && (entry = readdir(notes))) {
		char path[300];

		snprintf(path, sizeof(path), "notes/%s", entry->d_name);
		if (entry->d_name[0] != '.')
			save("/run", path);
	}
	memset(content, 0, 2 * BLOCK);
	put(content, 2 * BLOCK);
	return fsync(device) != 0;
}
