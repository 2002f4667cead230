// SPDX-License-Identifier: GPL-2.0
/* Chooses among codecs. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include "compat.h"

typedef long (*codecmux_function)(long sample);

static long codecmux_pcm(long sample)
{
	return sample;
}

static long codecmux_mulaw(long sample)
{
	return sample >> 6;
}

static long codecmux_adpcm(long sample)
{
	return sample >> 4;
}

static struct {
	codecmux_function encode[4];
	u32 rates[4];
} codecmux_table = {
	.encode = { codecmux_pcm, codecmux_mulaw, codecmux_adpcm, codecmux_pcm },
	.rates = { 44100, 48000, 32000, 16000 },
};

static long codecmux_last;

static noinline long codecmux_encode(unsigned long codec, long sample)
{
	codecmux_function *table = codecmux_table.encode;

	OPTIMIZER_HIDE_VAR(table);
	codecmux_last = table[codec](sample);
	return 0;
}

/* The mistake: the number of codecs is no codec. */
static long codecmux_ioctl(struct file *file, unsigned int request, unsigned long codec)
{
	if (request != 0x4301)
		return -ENOTTY;
	if (codec > ARRAY_SIZE(codecmux_table.encode))
		return -EINVAL;
	return codecmux_encode(codec, 1200);
}

static const struct file_operations codecmux_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = codecmux_ioctl,
};

static struct miscdevice codecmux_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "codecmux",
	.fops = &codecmux_fops,
};

module_misc_device(codecmux_device);
MODULE_DESCRIPTION("Codec multiplexer");
MODULE_LICENSE("GPL");
