/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * All maps. The suffix is the version of the layout: any change of a struct raises it everywhere.
 * Sizes here are defaults; node config can raise them. Nothing but per-CPU counters and the buckets of
 * a hash (16 bytes an entry) takes memory before it is used.
 */
#ifndef TW_MAPS_H
#define TW_MAPS_H

#include "tw_types.h"

#define NO_PREALLOC 1 /* BPF_F_NO_PREALLOC */

/*
 * (address, port, protocol, scope) -> backend set and its size.
 * Written by the agent. Read by every hook. Missing: no Service there. Full: the agent keeps the last state.
 */
BPF_F_TABLE("hash", struct tw_fe_key, struct tw_fe, tw_fe_v1, 131072, NO_PREALLOC);

/*
 * (backend set, slot) -> backend id.
 * Written by the agent, before the frontend that leads here. Missing: the set was just replaced; ask again.
 */
BPF_F_TABLE("hash", struct tw_slot_key, __u64, tw_slot_v1, 1048576, NO_PREALLOC);

/*
 * backend id -> address and port, of every backend that still serves.
 * Written by the agent, before slots. Missing: the backend has gone; its UDP flows choose anew.
 */
BPF_F_TABLE("hash", __u64, struct tw_be, tw_be_v1, 524288, NO_PREALLOC);

/*
 * address and port -> 1, of every UDP backend that still serves.
 * Written by the agent. Missing: whoever asks it by its own name asked no backend of a Service.
 */
BPF_F_TABLE("hash", struct tw_end, __u64, tw_udpbe_v1, 524288, NO_PREALLOC);

/*
 * address -> the pod or the node itself that has it, on this node.
 * Written by the agent. Missing: somebody elsewhere.
 */
BPF_F_TABLE("hash", struct tw_addr, struct tw_ep, tw_ep_v3, 65536, NO_PREALLOC);

/*
 * address prefix -> class, for policy.
 * Written by the agent, idle generation first. Missing: class 0.
 */
BPF_F_TABLE("lpm_trie", struct tw_class_key, struct tw_class, tw_class_v1, 262144, NO_PREALLOC);

/*
 * (policy set, direction, class, protocol, port prefix) -> verdict and rule.
 * Written by the agent, before a pod turns to the set. Missing: ask for class 0; missing there: deny.
 */
BPF_F_TABLE("lpm_trie", struct tw_verdict_key, struct tw_verdict, tw_verdict_v1, 1048576,
	    NO_PREALLOC);

/*
 * both ends -> connection.
 * Written by the packet hooks; the agent removes what expired. Missing: a new connection, or one that
 * was evicted: its next packet makes it again (conntrack.h). A pod's share is full: what it began
 * evicts what it began (share.h). All is full: as if the share were.
 */
BPF_F_TABLE("hash", struct tw_ct_key, struct tw_ct, tw_ct_v3, 1048576, NO_PREALLOC);

/*
 * window of a pod's share of tw_ct -> the keys that it holds.
 * Written by the packet hooks; the agent removes those of pods that have gone. Missing: not used yet.
 */
BPF_F_TABLE("hash", struct tw_share_key, struct tw_share, tw_ct_share_v2, 262144, NO_PREALLOC);

/* enum tw_limit -> windows that a share may have. Written by the agent. 0: not written yet. */
BPF_TABLE("array", __u32, __u32, tw_limit_v1, 2);

/* 0 -> settings. Written by the agent alone. Never missing. */
BPF_TABLE("array", __u32, struct tw_cfg, tw_cfg_v4, 1);

/* 0 -> what programs met that the agent has to know. Written by the hooks alone. Never missing. */
BPF_TABLE("array", __u32, struct tw_notes, tw_notes_v1, 1);

/* reason -> packets and calls. Written by every hook, read by the agent. Never missing. */
BPF_TABLE("percpu_array", __u32, __u64, tw_count_v1, 64);

/*
 * (rule, pod, direction) -> what was denied.
 * Written by the hooks on a denial, read by the agent. Full: the least recently used starts anew.
 */
BPF_TABLE("lru_percpu_hash", struct tw_denied_key, __u64, tw_denied_v2, 4096);

static __always_inline struct tw_cfg *cfg_get(void)
{
	__u32 zero = 0;

	return tw_cfg_v4.lookup(&zero);
}

static __always_inline struct tw_notes *notes_get(void)
{
	__u32 zero = 0;

	return tw_notes_v1.lookup(&zero);
}

#endif
