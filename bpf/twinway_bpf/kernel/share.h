/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A table that pods fill has a share for each: what a pod begins evicts entries of its own alone.
 *
 *     (address, window) -> 8 keys      a way holds the key of one entry, which holds the way's slot
 *
 * A new entry takes a way of one of its share's windows: a free one, else that of the entry that is
 * missed least, which is evicted. While all eight live, it takes a way that was never used, until the
 * share has all its windows; so the memory that a share takes follows its pod, and a look-up knows
 * nothing of shares.
 *
 * What a pod began counts for it (its source was checked), what others began for the pod that
 * received it, apart. There, an initiator that fills the share evicts its own entries first.
 *
 * Two processors may take one way at once: then one entry has no way any more, is never evicted, and
 * expires like any other. In a share with all its windows that happens a few times in a million.
 *
 * To be defined before, because BCC takes no table by another name: SHARE_ENTRY, the type of a table's
 * values, with `seen` and `slot`, its keys being of struct tw_ct_key; SHARE_LIMIT, a key of tw_limit;
 * share_worth(); and what share_entry(), share_evict(), share_find() and share_make() do below. One
 * table a program.
 */
#ifndef TW_SHARE_H
#define TW_SHARE_H

#include "net.h"
#include "tw_maps.h"

#define SHARE_AGE 0xffffff
#define SHARE_NONE (1ULL << 32)
#define SHARE_WINDOWS_DEFAULT 4096

/* Whose share a new entry takes a place of. */
struct tw_owner {
	__be32 addr[4];	     /* the pod's */
	__be32 initiator[4]; /* who began */
	__u32 received;	     /* TW_SHARE_RECEIVED: somebody else than the pod; else 0 */
	__u32 now;
};

/*
 * Room for one claim: a BPF stack has 512 bytes. verifier: what is loaded from here may have any value,
 * so that it walks what follows once, whatever was stored.
 */
struct tw_claim {
	struct tw_share empty; /* never written */
	struct tw_owner owner;
	__u64 none;  /* the score of a free way */
	__u64 score; /* of `best` */
	__u64 best;
};

/* 0 -> that room. Used by the packet hooks alone. Never missing. */
BPF_TABLE("percpu_array", __u32, struct tw_claim, tw_claim_v1, 1);

static __always_inline struct tw_claim *claim_get(void)
{
	__u32 zero = 0;

	return tw_claim_v1.lookup(&zero);
}

/* The window of this number, made where there is none. */
static __always_inline struct tw_share *share_window(const struct tw_share_key *at,
						     struct tw_claim *claim)
{
	struct tw_share *window = share_find(at);

	if (window)
		return window;
	share_make(at, &claim->empty);
	return share_find(at);
}

static __always_inline __u32 share_limit(void)
{
	__u32 key = SHARE_LIMIT;
	__u32 *limit = tw_limit_v1.lookup(&key);

	return limit && *limit ? *limit : SHARE_WINDOWS_DEFAULT;
}

/* 1 where the addresses differ, else 0. */
static __always_inline __u64 share_differs(const __be32 *a, const __be32 *b)
{
	__u64 bits = (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]);

	return -bits >> 63;
}

/*
 * How little the entry of a way would be missed. verifier: computed rather than branched on, here and
 * in worth.h: each branch would double what it walks, in each way.
 */
static __always_inline __u64 share_score(struct tw_ct_key *key, __u32 slot,
					 const struct tw_claim *claim)
{
	const struct tw_owner *owner = &claim->owner;
	SHARE_ENTRY *entry = share_entry(key);
	__u64 worth, another;

	if (!entry || entry->slot != slot)
		return claim->none;
	worth = share_worth(key, entry, owner->now);
	another = share_differs(key->end[0].addr, owner->initiator) &
		  share_differs(key->end[1].addr, owner->initiator);
	worth += another * worth_lives(worth) * TW_WORTH_ANOTHERS;
	return (worth << 24) | (~(owner->now - entry->seen) & SHARE_AGE);
}

/* Find the way of a window that is to be taken. Where the table is full, a free one is of no use. */
static __always_inline void share_choose(struct tw_share *window, __u32 slot, bool full,
					 struct tw_claim *claim)
{
	__u64 score, less;

	claim->none = full ? SHARE_NONE : 0;
	claim->score = SHARE_NONE;
	claim->best = 0;
	for (__u32 i = 0; i < TW_SHARE_WAYS; i++) {
		score = share_score(&window->way[i], slot + i, claim);
		less = worth_bit((score - claim->score) >> 63);
		claim->best += less * (i - claim->best);
		claim->score += less * (score - claim->score);
		if (!score)
			return;
	}
}

static __always_inline __u32 share_slot(const struct tw_share_key *at)
{
	return TW_SLOT_TAKEN | (at->window & TW_SHARE_RECEIVED) |
	       (at->window & ~TW_SHARE_RECEIVED) * TW_SHARE_WAYS;
}

/* Take a way for `key`, and evict what held it; the slot, to be stored in the new entry. */
static __always_inline __u32 share_take(struct tw_share *window, __u32 slot, __u32 best,
					const struct tw_ct_key *key)
{
	struct tw_ct_key *way = &window->way[best & (TW_SHARE_WAYS - 1)];
	SHARE_ENTRY *entry;

	slot += best & (TW_SHARE_WAYS - 1);
	entry = share_entry(way);
	if (entry && entry->slot == slot)
		share_evict(way);
	*way = *key;
	return slot;
}

/* A slot that was never used, as long as the share has windows to come; 0: it has not. */
static __always_inline __u32 share_grow(struct tw_share *first, const struct tw_ct_key *key,
					struct tw_claim *claim)
{
	struct tw_share_key at = {};
	struct tw_share *window;
	__u32 used = first->used + TW_SHARE_WAYS;

	if (used >= share_limit() * TW_SHARE_WAYS)
		return 0;
	addr_copy(at.addr, claim->owner.addr);
	at.window = claim->owner.received | used / TW_SHARE_WAYS;
	window = share_window(&at, claim);
	if (!window)
		return 0;
	first->used++;
	return share_take(window, share_slot(&at), used, key);
}

/* A slot for a new entry of this key in the share of claim->owner; 0: none is to be had. */
static __always_inline __u32 share_claim(const struct tw_ct_key *key, struct tw_claim *claim)
{
	struct tw_share_key at = {};
	struct tw_share *first, *window;
	__u32 slot, whole;
	bool full;

	addr_copy(at.addr, claim->owner.addr);
	at.window = claim->owner.received;
	first = share_window(&at, claim);
	if (!first)
		return 0;
	full = first->full == claim->owner.now + 1;
	whole = first->used / TW_SHARE_WAYS + 1; /* windows all of whose ways were used */
	at.window |= bpf_get_prandom_u32() % whole;
	window = share_find(&at);
	if (!window)
		return 0;
	share_choose(window, share_slot(&at), full, claim);
	if (claim->score >= TW_WORTH_ASKED << 24 && !full) {
		slot = share_grow(first, key, claim);
		if (slot)
			return slot;
	}
	return share_take(window, share_slot(&at), claim->best, key);
}

/* The table was full: for a moment, what is new in this share takes the place of what is there. */
static __always_inline void share_full(struct tw_claim *claim)
{
	struct tw_share_key at = {.window = claim->owner.received};
	struct tw_share *first;

	addr_copy(at.addr, claim->owner.addr);
	first = share_find(&at);
	if (first)
		first->full = claim->owner.now + 1;
}

#endif
