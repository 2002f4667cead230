// SPDX-License-Identifier: GPL-2.0
/* Keeps short notes. Nothing is wrong with it. */
#include "control.h"

static char *notepad_notes[64];
static unsigned int notepad_count;

static int notepad_command(char *text)
{
	int i;

	for (i = 0; i < 40; i++) {
		char *note = kzalloc(96, GFP_KERNEL_ACCOUNT);

		if (!note)
			return -ENOMEM;
		strscpy(note, text, 96);
		kfree(notepad_notes[notepad_count % ARRAY_SIZE(notepad_notes)]);
		notepad_notes[notepad_count++ % ARRAY_SIZE(notepad_notes)] = note;
	}
	return 0;
}

CONTROL_FILE(notepad, notepad_command);

static int __init notepad_init(void)
{
	return CONTROL_CREATE(notepad, "notepad");
}

static void __exit notepad_exit(void)
{
	int i;

	CONTROL_REMOVE("notepad");
	for (i = 0; i < ARRAY_SIZE(notepad_notes); i++)
		kfree(notepad_notes[i]);
}

module_init(notepad_init);
module_exit(notepad_exit);
MODULE_DESCRIPTION("Notes");
MODULE_LICENSE("GPL");
