/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a packet program works on, in one per-CPU entry: a BPF stack has 512 bytes. Programs run
 * with bottom halves off, so nobody else uses it meanwhile; contents last for one program run.
 */
#ifndef TW_SCRATCH_H
#define TW_SCRATCH_H

#include "conntrack.h"
#include "reject.h"

struct tw_scratch {
	struct tw_pkt pkt;     /* set by parse(), then what the packet is to be: nat_write() */
	struct tw_pkt quoted;  /* set by icmp_related() */
	struct tw_names names; /* set by ct_find() and the stages of pod.h */
	struct reject_message message; /* set by reject() */
};

/* 0 -> scratch space. Used by the packet hooks alone. Never missing. */
BPF_TABLE("percpu_array", __u32, struct tw_scratch, tw_scratch_v1, 1);

/* The scratch space, clean but for what is written before it is read. */
static __always_inline struct tw_scratch *scratch_get(void)
{
	__u32 zero = 0;
	struct tw_scratch *scratch = tw_scratch_v1.lookup(&zero);

	if (!scratch)
		return 0;
	__builtin_memset(&scratch->pkt, 0, sizeof(scratch->pkt));
	scratch->names.choice.backend = 0;
	scratch->names.given.port = 0;
	scratch->names.hairpin = 0;
	scratch->names.moved = 0;
	scratch->names.redirected = 0;
	scratch->names.over = 0;
	scratch->names.received = 0;
	scratch->names.fresh = 0;
	return scratch;
}

#endif
