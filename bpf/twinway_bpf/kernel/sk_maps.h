/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is kept on sockets themselves, and so ends with them. */
#ifndef TW_SK_MAPS_H
#define TW_SK_MAPS_H

#include "net.h"
#include "tw_types.h"

/* socket -> what connect() was given. Written and read by these hooks. Missing: nothing. */
BPF_SK_STORAGE(tw_sk_v1, struct tw_sk);

/* socket -> Services an unconnected socket last sent to. Written and read by these hooks. */
BPF_SK_STORAGE(tw_skpeer_v1, struct tw_peers);

/* socket -> what policy says of its peer. Written and read by skb.c. Missing, or old: it is judged. */
BPF_SK_STORAGE(tw_skpol_v2, struct tw_skpol);

/* One judgement in one word; of a TCP socket it has one direction, the one that counts. */
static __always_inline __u64 said_of(__u32 rev, __u8 egress, __u8 ingress)
{
	return rev | (__u64)egress << 32 | (__u64)ingress << 40;
}

static __always_inline __u8 said_way(__u64 said, bool egress)
{
	return egress ? said >> 32 : said >> 40;
}

#endif
