/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP at its sockets. A socket is one end of one connection, so one verdict holds until policy changes. A
 * listener has no connection of its own: connections that are not accepted yet are judged by packet.
 */
#ifndef TW_SK_TCP_H
#define TW_SK_TCP_H

#include "judge.h"
#include "sk_maps.h"
#include "sk_stream.h"

#define STATE_LISTEN 10 /* BPF_TCP_LISTEN */

/*
 * socket cookie -> nothing: initiators' sockets that connected before the hooks could record it (tw_sk).
 * Written by the agent when the first policy arrives. Missing: see tw_sk.
 */
BPF_F_TABLE("hash", __u64, __u8, tw_initiator_v1, 65536, 1 /* BPF_F_NO_PREALLOC */);

/* A verdict and its revision in one word. */
static __always_inline __u64 verdict_word(__u32 rev, __u8 action)
{
	return rev | (__u64)action << 32;
}

#endif
