// SPDX-License-Identifier: GPL-2.0
/* Mail queues by priority: letters wait in them, and are counted. */
#include <linux/list.h>
#include "control.h"

#define MAILHUB_QUEUES 4

struct mailhub_letter {
	struct list_head entry;
	unsigned int size;
};

struct mailhub_queue {
	struct list_head letters;
	unsigned int limit;
	unsigned int seen;
};

static struct mailhub {
	unsigned int total;
	struct mailhub_queue queue[MAILHUB_QUEUES];
} mailhub;

static noinline int mailhub_post(unsigned int number, unsigned int size)
{
	struct mailhub_letter *letter = kzalloc(sizeof(*letter), GFP_KERNEL);

	if (!letter)
		return -ENOMEM;
	letter->size = size;
	list_add_tail(&letter->entry, &mailhub.queue[number].letters);
	return 0;
}

static noinline int mailhub_count(unsigned int number)
{
	struct mailhub_queue *queue = &mailhub.queue[number];
	struct mailhub_letter *letter;

	list_for_each_entry(letter, &queue->letters, entry)
		queue->seen += letter->size;
	mailhub.total += queue->seen;
	return 0;
}

static int mailhub_command(char *text)
{
	unsigned int number, size;

	if (sscanf(text, "post %u %u", &number, &size) == 2 && number < MAILHUB_QUEUES)
		return mailhub_post(number, size);
	if (sscanf(text, "count %u", &number) == 1 && number < MAILHUB_QUEUES)
		return mailhub_count(number);
	return -EINVAL;
}

CONTROL_FILE(mailhub, mailhub_command);

/* The mistake: the last queue is left out. */
static int __init mailhub_init(void)
{
	int number;

	for (number = 0; number < MAILHUB_QUEUES - 1; number++) {
		INIT_LIST_HEAD(&mailhub.queue[number].letters);
		mailhub.queue[number].limit = 100;
	}
	return CONTROL_CREATE(mailhub, "mailhub");
}

static void __exit mailhub_exit(void)
{
	CONTROL_REMOVE("mailhub");
}

module_init(mailhub_init);
module_exit(mailhub_exit);
MODULE_DESCRIPTION("Mail queues");
MODULE_LICENSE("GPL");
