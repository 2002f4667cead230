#!/bin/sh
# Inventory: sockets and their memory.
uptime >/tmp/inventory
ss -s >>/tmp/inventory
ps >>/tmp/inventory
