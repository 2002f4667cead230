// SPDX-License-Identifier: GPL-2.0
/* A tone generator that reads its samples from a file: one for each voice. */
#include <linux/fs.h>
#include "control.h"

struct tone_voice {
	struct file *bank;
	unsigned int volume;
	unsigned int played;
};

static struct tone_voice *tone_voices[4];

static noinline int tone_add(unsigned int number)
{
	struct tone_voice *voice = kzalloc(sizeof(*voice), GFP_KERNEL);

	if (!voice)
		return -ENOMEM;
	voice->volume = 40;
	tone_voices[number] = voice;
	return 0;
}

/* The mistake: no look at whether the file could be opened. */
static noinline int tone_select(unsigned int number, const char *path)
{
	struct tone_voice *voice = tone_voices[number];

	if (voice->bank)
		return -EBUSY;
	voice->bank = filp_open(path, O_RDONLY, 0);
	return 0;
}

static noinline int tone_play(unsigned int number)
{
	struct tone_voice *voice = tone_voices[number];

	if (!voice->bank)
		return -ENODATA;
	voice->played++;
	return i_size_read(file_inode(voice->bank)) ? 0 : -ENODATA;
}

static int tone_command(char *text)
{
	char verb[8], path[64] = "";
	unsigned int number;

	if (sscanf(text, "%7s %u %63s", verb, &number, path) < 2 || number >= ARRAY_SIZE(tone_voices))
		return -EINVAL;
	if (!strcmp(verb, "add"))
		return tone_add(number);
	if (!tone_voices[number])
		return -ENOENT;
	return path[0] ? tone_select(number, path) : tone_play(number);
}

CONTROL_FILE(tone, tone_command);

static int __init tone_init(void)
{
	return CONTROL_CREATE(tone, "toneg");
}

static void __exit tone_exit(void)
{
	CONTROL_REMOVE("toneg");
}

module_init(tone_init);
module_exit(tone_exit);
MODULE_DESCRIPTION("Tone generator");
MODULE_LICENSE("GPL");
