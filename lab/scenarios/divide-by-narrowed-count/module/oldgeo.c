// SPDX-License-Identifier: GPL-2.0
/* A disk in memory that keeps track of its heads as old ones did. */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/hdreg.h>
#include <linux/module.h>
#include <linux/spinlock.h>
#include <linux/version.h>
#include <linux/vmalloc.h>

#define OGEO_SECTORS 8192

struct ogeo_place {
	u32 cylinder;
	u8 head;
	u8 sector;
};

struct ogeo_disk {
	struct gendisk *disk;
	spinlock_t lock;
	u8 heads;
	u8 sectors;
	struct ogeo_place at;
	u64 seeks;
	u8 *data;
};

static struct ogeo_disk ogeo_disk = { .heads = 4, .sectors = 17 };
static int ogeo_major;

static noinline struct ogeo_place ogeo_locate(const struct ogeo_disk *d, u32 sector)
{
	struct ogeo_place place;
	unsigned int track = d->heads * d->sectors;

	place.cylinder = sector / track;
	sector %= track;
	place.head = sector / d->sectors;
	place.sector = sector % d->sectors + 1;
	return place;
}

static void ogeo_seek(struct ogeo_disk *d, sector_t sector)
{
	struct ogeo_place place;

	spin_lock(&d->lock);
	place = ogeo_locate(d, sector);
	if (place.cylinder != d->at.cylinder)
		d->seeks++;
	d->at = place;
	spin_unlock(&d->lock);
}

static void ogeo_submit(struct bio *bio)
{
	struct ogeo_disk *d = bio->bi_bdev->bd_disk->private_data;
	struct bvec_iter iter;
	struct bio_vec bv;

	bio_for_each_segment(bv, bio, iter) {
		loff_t offset = (loff_t)iter.bi_sector << SECTOR_SHIFT;

		if (offset + bv.bv_len > (loff_t)OGEO_SECTORS << SECTOR_SHIFT) {
			bio_io_error(bio);
			return;
		}
		ogeo_seek(d, iter.bi_sector);
		if (bio_data_dir(bio) == WRITE)
			memcpy_from_bvec(d->data + offset, &bv);
		else
			memcpy_to_bvec(&bv, d->data + offset);
	}
	bio_endio(bio);
}

static int ogeo_getgeo(struct block_device *bdev, struct hd_geometry *geo)
{
	geo->heads = ogeo_disk.heads;
	geo->sectors = ogeo_disk.sectors;
	geo->cylinders = ogeo_disk.at.cylinder + 1;
	return 0;
}

static const struct block_device_operations ogeo_fops = {
	.owner = THIS_MODULE,
	.submit_bio = ogeo_submit,
	.getgeo = ogeo_getgeo,
};

static noinline int ogeo_set_geometry(struct ogeo_disk *d, unsigned int heads, unsigned int sectors)
{
	if (!heads || heads > 256 || !sectors || sectors > 63)
		return -EINVAL;
	spin_lock(&d->lock);
	d->heads = heads;
	d->sectors = sectors;
	d->at.cylinder = 0;
	spin_unlock(&d->lock);
	return 0;
}

static int ogeo_set(const char *text, const struct kernel_param *kp)
{
	unsigned int heads, sectors;

	if (sscanf(text, "%u %u", &heads, &sectors) != 2)
		return -EINVAL;
	return ogeo_set_geometry(&ogeo_disk, heads, sectors);
}

static const struct kernel_param_ops ogeo_param = { .set = ogeo_set };
module_param_cb(geometry, &ogeo_param, NULL, 0200);

static int __init ogeo_init(void)
{
	struct ogeo_disk *d = &ogeo_disk;
	int error = -ENOMEM;

	spin_lock_init(&d->lock);
	d->data = vzalloc(OGEO_SECTORS << SECTOR_SHIFT);
	if (!d->data)
		return -ENOMEM;
	ogeo_major = register_blkdev(0, "ogeo");
	if (ogeo_major < 0)
		goto free;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	d->disk = blk_alloc_disk(NULL, NUMA_NO_NODE);
	if (IS_ERR(d->disk))
		goto unregister;
#else
	d->disk = blk_alloc_disk(NUMA_NO_NODE);
	if (!d->disk)
		goto unregister;
#endif
	d->disk->major = ogeo_major;
	d->disk->first_minor = 0;
	d->disk->minors = 1;
	d->disk->fops = &ogeo_fops;
	d->disk->private_data = d;
	snprintf(d->disk->disk_name, DISK_NAME_LEN, "ogeo0");
	set_capacity(d->disk, OGEO_SECTORS);
	error = add_disk(d->disk);
	if (!error)
		return 0;
	put_disk(d->disk);
unregister:
	unregister_blkdev(ogeo_major, "ogeo");
free:
	vfree(d->data);
	return error;
}

static void __exit ogeo_exit(void)
{
	del_gendisk(ogeo_disk.disk);
	put_disk(ogeo_disk.disk);
	unregister_blkdev(ogeo_major, "ogeo");
	vfree(ogeo_disk.data);
}

module_init(ogeo_init);
module_exit(ogeo_exit);
MODULE_DESCRIPTION("Disk in memory with a geometry");
MODULE_LICENSE("GPL");
