/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Exchanges without a connection entry: each pair of a pod's port (or echo identifier) and a peer is one. If
 * policy allows only one direction, it is remembered who sent the first packet. For TCP this is remembered
 * only of SYNs that no socket may answer, and of sockets that cannot be looked up.
 */
#ifndef TW_UDP_H
#define TW_UDP_H

#include "idle.h"
#include "judge.h"
#include "priority.h"

/*
 * (pod's end, peer, protocol) -> who sent the first packet.
 * Written and read here; the agent removes expired entries. Missing: nobody. If a pod's share or the table is
 * full, an entry of the same pod is evicted (share.h), and its next answer is denied.
 */
BPF_F_TABLE("hash", struct tw_ct_key, struct tw_udp, tw_udp_v4, 262144, NO_PREALLOC);

/* As tw_ct_share, of tw_udp. */
BPF_F_TABLE("hash", struct tw_share_key, struct tw_share, tw_udp_share_v2, 65536, NO_PREALLOC);

/*
 * The idle timeout of an entry: that of the same flow in tw_ct (ct_expired). verifier: computed without
 * branches, as in priority.h.
 */
static __always_inline __u64 udp_idle(__u8 proto, __u64 answered)
{
	__u64 tcp = ((__u64)(proto ^ PROTO_TCP) - 1) >> 63;
	__u64 idle = choose(answered & 1, CT_IDLE_TCP, CT_IDLE_TCP_UNANSWERED);

	return choose(tcp, idle, CT_IDLE_UDP);
}

static __always_inline __u64 share_priority(const struct tw_ct_key *key, const struct tw_udp *udp,
					    __u32 now)
{
	__u64 silent = is_silent(now - udp->seen, udp_idle(key->proto, udp->answered));

	return choose(silent, TW_PRIORITY_OVER, TW_PRIORITY_ASKED + (udp->answered & 1));
}

static __always_inline struct tw_udp *share_entry(struct tw_ct_key *key)
{
	return tw_udp_v4.lookup(key);
}

static __always_inline void share_evict(struct tw_ct_key *key)
{
	tw_udp_v4.delete(key);
}

static __always_inline struct tw_share *share_find(const struct tw_share_key *at)
{
	return tw_udp_share_v2.lookup((struct tw_share_key *)at);
}

static __always_inline void share_make(const struct tw_share_key *at, struct tw_share *empty)
{
	tw_udp_share_v2.update((struct tw_share_key *)at, empty);
}

#define SHARE_ENTRY struct tw_udp
#define SHARE_LIMIT TW_LIMIT_UDP
#include "share.h"

static __always_inline void udp_key(struct tw_ct_key *key, const struct tw_view *view, __u8 proto)
{
	end_copy(&key->end[0], view->local);
	end_copy(&key->end[1], view->remote);
	key->proto = proto;
}

/*
 * What to remember of a packet if it passes: the packet's own exchange, and the datagram whose first fragment
 * it is. verifier: kept in memory and stored in one place, which it then walks once and not for each path.
 */
struct tw_pending {
	struct tw_ct_key key[2];
	__u8 flag[2]; /* enum tw_udp_flag; 0: nothing */
	__u8 pad[2];
};

enum tw_pending_of {
	TW_PENDING_PACKET = 0,
	TW_PENDING_DATAGRAM = 1,
};

/* 0 -> that room. Used by the guard alone. Never missing. */
BPF_TABLE("percpu_array", __u32, struct tw_pending, tw_pending_v1, 1);

static __always_inline struct tw_pending *pending_get(void)
{
	__u32 zero = 0;

	return tw_pending_v1.lookup(&zero);
}

/* Nothing is to be remembered yet. */
static __always_inline void udp_begin(void)
{
	struct tw_pending *pending = pending_get();

	if (!pending)
		return;
	pending->flag[TW_PENDING_PACKET] = 0;
	pending->flag[TW_PENDING_DATAGRAM] = 0;
}

/* Let udp_commit() remember an exchange. */
static __always_inline void udp_remember(const struct tw_view *view, __u8 proto, __u8 flag)
{
	__u32 at = proto == PROTO_FRAGMENT ? TW_PENDING_DATAGRAM : TW_PENDING_PACKET;
	struct tw_pending *pending = pending_get();

	if (!pending)
		return;
	udp_key(&pending->key[at], view, proto);
	pending->flag[at] = flag;
}

static __always_inline void udp_insert(struct tw_ct_key *key, __u8 flag, __u32 slot)
{
	struct tw_udp fresh = {.flags = flag, .slot = slot};
	bool received = flag == TW_UDP_RECEIVED;
	struct tw_claim *claim = claim_get();
	struct tw_share_cursor cursor;

	if (!claim)
		return;
	claim->now = ct_now();
	claim->received = received ? TW_SHARE_RECEIVED : 0;
	addr_copy(claim->at.addr, key->end[0].addr);
	addr_copy(claim->initiator, key->end[received].addr);
	fresh.seen = claim->now;
	if (!share_open(&cursor, claim))
		return;
	if (!slot)
		fresh.slot = share_claim(&cursor, key, claim);
	if (fresh.slot && tw_udp_v4.update(key, &fresh))
		share_full(&cursor, claim);
}

/* The packet passes: store what was prepared. */
static __always_inline void udp_commit(void)
{
	struct tw_pending *pending = pending_get();
	struct tw_udp *found;

	if (!pending)
		return;
	for (int i = 0; i < 2; i++) {
		__u8 flag = pending->flag[i];

		if (!flag)
			continue;
		found = tw_udp_v4.lookup(&pending->key[i]);
		if (found && (found->flags & flag))
			found->seen = ct_now();
		else
			udp_insert(&pending->key[i], flag, found ? found->slot : 0);
	}
}

static __always_inline bool udp_answers(const struct tw_view *view, __u8 proto, __u8 flag)
{
	struct tw_ct_key key = {};
	struct tw_udp *found;
	__u32 now = ct_now();

	udp_key(&key, view, proto);
	found = tw_udp_v4.lookup(&key);
	if (!found || !(found->flags & flag) ||
	    now - found->seen > udp_idle(proto, found->answered))
		return 0;
	/* a stream may be one-way after it was asked for */
	if (found->seen != now)
		found->seen = now;
	if (!found->answered)
		found->answered = 1;
	return 1;
}

static __always_inline int udp_check(const struct tw_view *view, __u8 proto, bool out)
{
	__u64 rule = 0, other_rule = 0;
	__u8 mine = judge(view, proto, out, &rule);
	__u8 other = judge(view, proto, !out, &other_rule);

	if (mine == TW_ALLOW) {
		if (other != TW_ALLOW)
			udp_remember(view, proto, out ? TW_UDP_SENT : TW_UDP_RECEIVED);
		return TW_GO_ON;
	}
	if (other == TW_ALLOW && udp_answers(view, proto, out ? TW_UDP_RECEIVED : TW_UDP_SENT))
		return TW_GO_ON;
	return judged(view, mine, rule, out);
}

#endif
