/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which entry of a share (share.h) is evicted for a new one. */
#ifndef TW_PRIORITY_H
#define TW_PRIORITY_H

#include "net.h"

/* The entry with the least value is evicted; among equals, the one that was idle for longest. */
enum tw_priority {
	TW_PRIORITY_NONE = 0, /* no entry: the way is empty */
	TW_PRIORITY_OVER = 1, /* expired */
	TW_PRIORITY_ENDED = 2,
	TW_PRIORITY_ASKED = 3, /* from here on the entry is live: nobody has answered yet */
	TW_PRIORITY_ANSWERED = 4,
	TW_PRIORITY_ASSURED = 5,  /* the initiator went on after an answer */
	TW_PRIORITY_ANOTHERS = 3, /* added to a live entry of another initiator */
};

/* Hide from the compiler that a value is one bit, or it compiles a branch. */
static __always_inline __u64 opaque(__u64 bit)
{
	asm volatile("" : "+r"(bit));
	return bit;
}

/* `yes` where the bit is set, else `no`. */
static __always_inline __u64 choose(__u64 bit, __u64 yes, __u64 no)
{
	return no + opaque(bit) * (yes - no);
}

/* 1 for a live entry, 0 for one that expired or ended. */
static __always_inline __u64 priority_lives(__u64 priority)
{
	return opaque((priority + 1) >> 2);
}

/* 1 if it was idle for longer than that. */
static __always_inline __u64 is_silent(__u32 idle, __u64 longest)
{
	return (longest - idle) >> 63;
}

#endif
