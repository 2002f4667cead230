#!/bin/sh
# Inventory: kernel memory.
uptime >/tmp/inventory
slabtop -o >>/tmp/inventory
ps >>/tmp/inventory
