/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP at its sockets. A socket is one connection and one side of it: one verdict, until policy
 * changes. A listener speaks for those not yet accepted: what begins is judged by packet.
 */
#ifndef TW_SK_TCP_H
#define TW_SK_TCP_H

#include "judge.h"
#include "sk_maps.h"
#include "sk_stream.h"

#define STATE_LISTEN 10 /* BPF_TCP_LISTEN */

/*
 * socket cookie -> nothing: sockets that connected before anybody noted it on them (tw_sk).
 * Written by the agent when policy comes. Missing: see there.
 */
BPF_F_TABLE("hash", __u64, __u8, tw_initiator_v1, 65536, 1 /* BPF_F_NO_PREALLOC */);

/* One judgement in one word. */
static __always_inline __u64 verdict_word(__u32 rev, __u8 action)
{
	return rev | (__u64)action << 32;
}

#endif
