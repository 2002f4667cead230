// SPDX-License-Identifier: GPL-2.0
/* Humidity probes in a tobacconist's cabinets: a conversion takes some time, then the value is kept. */
#include <linux/delay.h>
#include <linux/kfifo.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/workqueue.h>
#include "control.h"

#define HUMIDOR_CABINETS 16
#define HUMIDOR_HISTORY 32
#define HUMIDOR_CONVERSION 350 /* ms */

struct humidor_sample {
	u32 seconds;
	u16 humidity;
	u16 temperature;
};

struct humidor_probe {
	unsigned int cabinet;
	unsigned int period; /* s */
	u16 dry, wet; /* calibration */
	struct humidor_sample last;
	DECLARE_KFIFO_PTR(history, struct humidor_sample);
	struct delayed_work work;
};

struct humidor_cabinet {
	struct humidor_probe *probe;
	char *note;
};

static DEFINE_MUTEX(humidor_lock);
static struct humidor_cabinet humidor_cabinets[HUMIDOR_CABINETS];
static struct workqueue_struct *humidor_queue;

static void humidor_start(struct humidor_probe *probe)
{
	probe->last.seconds = ktime_get_seconds();
}

static u16 humidor_raw(struct humidor_probe *probe)
{
	return 690 + (jiffies + 7 * probe->cabinet) % 20;
}

static noinline void humidor_keep(struct humidor_probe *probe, u16 raw)
{
	struct humidor_sample dropped;

	probe->last.humidity = (raw - probe->dry) * 100 / 1024;
	probe->last.temperature = 180 + raw % 8;
	if (kfifo_is_full(&probe->history) && !kfifo_get(&probe->history, &dropped))
		return;
	kfifo_in(&probe->history, &probe->last, 1);
}

static void humidor_measure(struct work_struct *work)
{
	struct humidor_probe *probe = container_of(work, struct humidor_probe, work.work);

	humidor_start(probe);
	msleep(HUMIDOR_CONVERSION);
	humidor_keep(probe, humidor_raw(probe));
	queue_delayed_work(humidor_queue, &probe->work, probe->period * HZ);
}

static noinline int humidor_plug(struct humidor_cabinet *cabinet, unsigned int number)
{
	struct humidor_probe *probe;
	int status;

	if (cabinet->probe)
		return -EBUSY;
	probe = kzalloc(sizeof(*probe), GFP_KERNEL);
	if (!probe)
		return -ENOMEM;
	status = kfifo_alloc(&probe->history, HUMIDOR_HISTORY, GFP_KERNEL);
	if (status) {
		kfree(probe);
		return status;
	}
	probe->cabinet = number;
	probe->period = 30;
	probe->dry = 12;
	probe->wet = 1011;
	INIT_DELAYED_WORK(&probe->work, humidor_measure);
	cabinet->probe = probe;
	queue_delayed_work(humidor_queue, &probe->work, HZ);
	return 0;
}

static noinline int humidor_unplug(struct humidor_cabinet *cabinet)
{
	struct humidor_probe *probe = cabinet->probe;

	if (!probe)
		return -ENODEV;
	cabinet->probe = NULL;
	cancel_delayed_work(&probe->work);
	kfifo_free(&probe->history);
	kfree(probe);
	return 0;
}

static noinline int humidor_note(struct humidor_cabinet *cabinet, const char *text)
{
	char *note = kasprintf(GFP_KERNEL, "%s | entered by the cabinet service, shop 4, %s", text,
			       "to be read at the next turn of the shelves");

	if (!note)
		return -ENOMEM;
	kfree(cabinet->note);
	cabinet->note = note;
	return 0;
}

static int humidor_command(char *text)
{
	struct humidor_cabinet *cabinet;
	unsigned int number;
	char verb[12];
	int skip = 0, status = -EINVAL;

	if (sscanf(text, "%11s %u %n", verb, &number, &skip) < 2 || number >= HUMIDOR_CABINETS)
		return -EINVAL;
	mutex_lock(&humidor_lock);
	cabinet = &humidor_cabinets[number];
	if (!strcmp(verb, "plug"))
		status = humidor_plug(cabinet, number);
	else if (!strcmp(verb, "unplug"))
		status = humidor_unplug(cabinet);
	else if (!strcmp(verb, "measure") && cabinet->probe)
		status = mod_delayed_work(humidor_queue, &cabinet->probe->work, 0);
	else if (!strcmp(verb, "note") && skip)
		status = humidor_note(cabinet, text + skip);
	mutex_unlock(&humidor_lock);
	return status;
}

CONTROL_FILE(humidor, humidor_command);

static int __init humidor_init(void)
{
	humidor_queue = alloc_workqueue("humidor", WQ_UNBOUND, 0);
	if (!humidor_queue)
		return -ENOMEM;
	return CONTROL_CREATE(humidor, "humidor");
}

static void __exit humidor_exit(void)
{
	int i;

	CONTROL_REMOVE("humidor");
	for (i = 0; i < HUMIDOR_CABINETS; i++) {
		if (humidor_cabinets[i].probe)
			humidor_unplug(&humidor_cabinets[i]);
		kfree(humidor_cabinets[i].note);
	}
	destroy_workqueue(humidor_queue);
}

module_init(humidor_init);
module_exit(humidor_exit);
MODULE_DESCRIPTION("Cabinet humidity");
MODULE_LICENSE("GPL");
