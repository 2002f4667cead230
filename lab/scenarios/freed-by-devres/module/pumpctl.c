// SPDX-License-Identifier: GPL-2.0
/* Two pumps, each measured from a timer. */
#include <linux/platform_device.h>
#include <linux/slab.h>
#include "compat.h"

#define PUMPCTL_PERIOD (HZ / 8)

struct pumpctl {
	unsigned int speed;
	unsigned long strokes;
	struct timer_list timer;
};

static struct platform_device *pumpctl_devices[2];

static void pumpctl_measure(struct timer_list *timer)
{
	struct pumpctl *pump = timer_owner(pump, timer, timer);

	pump->strokes += pump->speed;
	mod_timer(&pump->timer, jiffies + PUMPCTL_PERIOD);
}

static int pumpctl_probe(struct platform_device *device)
{
	struct pumpctl *pump = devm_kzalloc(&device->dev, sizeof(*pump), GFP_KERNEL);

	if (!pump)
		return -ENOMEM;
	pump->speed = 40 + device->id;
	timer_setup(&pump->timer, pumpctl_measure, 0);
	platform_set_drvdata(device, pump);
	mod_timer(&pump->timer, jiffies + PUMPCTL_PERIOD);
	return 0;
}

/* The mistake: the timer goes on. */
static int pumpctl_unbind(struct platform_device *device)
{
	struct pumpctl *pump = platform_get_drvdata(device);

	dev_info(&device->dev, "%lu strokes\n", pump->strokes);
	platform_set_drvdata(device, NULL);
	return 0;
}

static struct platform_driver pumpctl_driver = {
	.probe = pumpctl_probe,
	.remove = pumpctl_unbind,
	.driver = { .name = "pumpctl" },
};

static int __init pumpctl_init(void)
{
	int error = platform_driver_register(&pumpctl_driver);
	int i;

	for (i = 0; i < ARRAY_SIZE(pumpctl_devices) && !error; i++) {
		pumpctl_devices[i] = platform_device_register_simple("pumpctl", i, NULL, 0);
		error = PTR_ERR_OR_ZERO(pumpctl_devices[i]);
	}
	return error;
}

static void __exit pumpctl_exit(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(pumpctl_devices); i++)
		platform_device_unregister(pumpctl_devices[i]);
	platform_driver_unregister(&pumpctl_driver);
}

module_init(pumpctl_init);
module_exit(pumpctl_exit);
MODULE_DESCRIPTION("Pumps");
MODULE_LICENSE("GPL");
