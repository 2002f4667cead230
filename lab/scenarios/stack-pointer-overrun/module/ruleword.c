// SPDX-License-Identifier: GPL-2.0
/* Counts the words of rules. */
#include "control.h"

struct ruleword_counter {
	unsigned long words;
	unsigned long letters;
};

struct ruleword_cursor {
	char word[12];
	unsigned int length;
	struct ruleword_counter *counter;
	const char *rest;
};

static struct ruleword_counter ruleword_all;

/* The mistake: a word may be longer. */
static noinline bool ruleword_next(struct ruleword_cursor *cursor)
{
	const char *rest = cursor->rest;
	char *to = cursor->word;

	OPTIMIZER_HIDE_VAR(to);
	while (*rest == ' ')
		rest++;
	if (!*rest)
		return false;
	cursor->length = strcspn(rest, " ");
	cursor->rest = rest + cursor->length;
	memcpy(to, rest, cursor->length);
	return true;
}

static noinline int ruleword_line(const char *line)
{
	struct ruleword_cursor cursor = { .counter = &ruleword_all, .rest = line };
	int words = 0;

	while (ruleword_next(&cursor)) {
		cursor.counter->words++;
		words++;
	}
	return words ? 0 : -EINVAL;
}

CONTROL_FILE(ruleword, ruleword_line);

static int __init ruleword_init(void)
{
	return CONTROL_CREATE(ruleword, "ruleword");
}

static void __exit ruleword_exit(void)
{
	CONTROL_REMOVE("ruleword");
}

module_init(ruleword_init);
module_exit(ruleword_exit);
MODULE_DESCRIPTION("Words of rules");
MODULE_LICENSE("GPL");
