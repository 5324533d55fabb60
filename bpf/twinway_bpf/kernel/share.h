/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Each pod has a share of a table. The entries that a pod causes evict only entries of the same share.
 *
 *     (address, window) -> 8 keys      a way holds the key of one entry, which holds the way's slot
 *
 * A new entry takes an empty way of a random window of its share. If the window has none, a pass over its
 * eight ways empties those whose entries have gone, which serves later entries, too. If all eight entries
 * live, the new entry and the next few take ways that were never used, until the share has all of its
 * windows. Then the entry with the lowest eviction priority value goes (priority.h). So a share takes no
 * more memory than its pod needs, and look-ups in the table are not concerned.
 *
 * An entry counts for the pod that caused it, because that pod's source address was checked. An entry that
 * somebody else caused counts for the pod that received the packet, in a second share. There, an initiator
 * that fills the share evicts its own entries first.
 *
 * Two processors may take one way at the same time. Then one of the two entries has no way: it is never
 * evicted, and expires like any other. In a share with all its windows that happens a few times in a million.
 *
 * Whoever includes this file defines first, because BCC knows tables by their own names only: SHARE_ENTRY,
 * the type of the table's values, with `seen` and `slot`; SHARE_LIMIT, a key of tw_limit; share_priority(),
 * share_entry(), share_evict(), share_find() and share_make(). Keys are of struct tw_ct_key. A program has
 * one such table.
 */
#ifndef TW_SHARE_H
#define TW_SHARE_H

#include "net.h"
#include "tw_maps.h"

#define SHARE_AGE 0xffffff
#define SHARE_NONE (1ULL << 32)
#define SHARE_WINDOWS_DEFAULT 4096

#define SHARE_GROWTH 8 /* new entries that take ways never used after a pass that cleared none */

/*
 * Room for one claim: a BPF stack has 512 bytes. verifier: what is loaded from here may have any value,
 * so that it walks what follows once, whatever was stored.
 */
struct tw_claim {
	struct tw_share empty;	/* never written */
	struct tw_share_key at; /* a window of the share that a new entry takes a way of */
	__be32 initiator[4];	/* of the connection */
	__u32 received;		/* TW_SHARE_RECEIVED: the pod is not the initiator; else 0 */
	__u32 now;
	__u64 none;  /* the score of a way whose entry is gone */
	__u64 score; /* of `best` */
	__u64 best;
};

/* 0 -> that room. Used by the packet hooks alone. Never missing. */
BPF_TABLE("percpu_array", __u32, struct tw_claim, tw_claim_v2, 1);

static __always_inline struct tw_claim *claim_get(void)
{
	__u32 zero = 0;

	return tw_claim_v2.lookup(&zero);
}

/* A share while places in it are claimed. verifier: pointers into maps may stand on the stack alone. */
struct tw_share_cursor {
	struct tw_share *first;	 /* its window 0 */
	struct tw_share *window; /* the one that claim->at names */
};

/* The window that claim->at names, made where there is none; NULL: no room. */
static __always_inline struct tw_share *share_window(struct tw_claim *claim)
{
	struct tw_share *window = share_find(&claim->at);

	if (window)
		return window;
	share_make(&claim->at, &claim->empty);
	return share_find(&claim->at);
}

/* Look up a share, whose pod is written in claim->at. */
static __always_inline bool share_open(struct tw_share_cursor *cursor, struct tw_claim *claim)
{
	claim->at.window = claim->received;
	cursor->first = share_window(claim);
	cursor->window = cursor->first;
	return cursor->first;
}

/* Go to another window. Consecutive entries often take ways of the same one. */
static __always_inline bool share_goto(struct tw_share_cursor *cursor, __u32 number,
				       struct tw_claim *claim)
{
	number |= claim->received;
	if (claim->at.window != number) {
		claim->at.window = number;
		cursor->window = share_window(claim);
	}
	return cursor->window;
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

/* One end of every key is a pod's, whose address is not zero. */
static __always_inline bool share_is_empty(const struct tw_ct_key *way)
{
	const __be32 *a = way->end[0].addr, *b = way->end[1].addr;

	return !(a[0] | a[1] | a[2] | a[3] | b[0] | b[1] | b[2] | b[3]);
}

/*
 * The eviction priority of a way's entry. A way whose entry has gone becomes an empty one. verifier: values
 * are computed without branches, here and in priority.h, because each branch doubles what it walks.
 */
static __always_inline __u64 share_score(struct tw_ct_key *way, __u32 slot,
					 const struct tw_claim *claim)
{
	SHARE_ENTRY *entry = share_entry(way);
	__u64 priority, another;

	if (!entry || entry->slot != slot) {
		__builtin_memset(way, 0, sizeof(*way));
		return claim->none;
	}
	priority = share_priority(way, entry, claim->now);
	another = share_differs(way->end[0].addr, claim->initiator) &
		  share_differs(way->end[1].addr, claim->initiator);
	priority += another * priority_lives(priority) * TW_PRIORITY_ANOTHERS;
	return (priority << 24) | (~(claim->now - entry->seen) & SHARE_AGE);
}

/* Is there an empty way? Then it is the best. */
static __always_inline bool share_has_empty(const struct tw_share *window, struct tw_claim *claim)
{
	for (__u32 i = 0; i < TW_SHARE_WAYS; i++) {
		if (share_is_empty(&window->way[i])) {
			claim->best = i;
			return 1;
		}
	}
	return 0;
}

/* Find the way to take. If the table is full, an empty one is of no use. */
static __always_inline void share_choose(struct tw_share *window, __u32 slot, bool full,
					 struct tw_claim *claim)
{
	__u64 score, less;

	claim->none = full ? SHARE_NONE : 0;
	claim->score = SHARE_NONE;
	claim->best = 0;
	for (__u32 i = 0; i < TW_SHARE_WAYS; i++) {
		score = share_score(&window->way[i], slot + i, claim);
		less = opaque((score - claim->score) >> 63);
		claim->best += less * (i - claim->best);
		claim->score += less * (score - claim->score);
	}
}

/* The slot of the first way of the window that claim->at names. */
static __always_inline __u32 share_slot(const struct tw_claim *claim)
{
	return TW_SLOT_TAKEN | (claim->at.window & TW_SHARE_RECEIVED) |
	       (claim->at.window & ~TW_SHARE_RECEIVED) * TW_SHARE_WAYS;
}

/* verifier: loaded from memory, because it walks what follows once for each value that it knows. */
static __always_inline __u32 share_best(const struct tw_claim *claim)
{
	return *(const volatile __u64 *)&claim->best & (TW_SHARE_WAYS - 1);
}

/* Evict the entry of the best way, unless another entry has taken the way meanwhile. */
static __always_inline void share_vacate(struct tw_share *window, const struct tw_claim *claim)
{
	__u32 best = share_best(claim);
	struct tw_ct_key *way = &window->way[best];
	SHARE_ENTRY *entry = share_entry(way);

	if (entry && entry->slot == share_slot(claim) + best)
		share_evict(way);
}

/* Does the share have ways that were never used? */
static __always_inline bool share_may_grow(const struct tw_share *first)
{
	return first->used + TW_SHARE_WAYS < share_limit() * TW_SHARE_WAYS;
}

/* Go to the next way that was never used. */
static __always_inline bool share_grow(struct tw_share_cursor *cursor, struct tw_claim *claim)
{
	__u32 used = cursor->first->used + TW_SHARE_WAYS;

	if (!share_goto(cursor, used / TW_SHARE_WAYS, claim))
		return 0;
	cursor->first->used++;
	claim->best = used % TW_SHARE_WAYS;
	return 1;
}

/* Go to an empty way of a random window, or vacate one there. */
static __always_inline bool share_replace(struct tw_share_cursor *cursor, struct tw_claim *claim)
{
	__u32 number = bpf_get_prandom_u32() % (cursor->first->used / TW_SHARE_WAYS + 1);
	bool full = cursor->first->full == claim->now + 1;

	if (!share_goto(cursor, number, claim))
		return 0;
	if (!full && share_has_empty(cursor->window, claim))
		return 1;
	share_choose(cursor->window, share_slot(claim), full, claim);
	if (claim->score >= TW_PRIORITY_ASKED << 24 && !full && share_may_grow(cursor->first)) {
		cursor->first->growth = SHARE_GROWTH;
		return share_grow(cursor, claim);
	}
	if (claim->score)
		share_vacate(cursor->window, claim);
	return 1;
}

/* A slot for a new entry of this key in an open share; 0: none is to be had. */
static __always_inline __u32 share_claim(struct tw_share_cursor *cursor,
					 const struct tw_ct_key *key, struct tw_claim *claim)
{
	bool found;
	__u32 best;

	if (cursor->first->growth && share_may_grow(cursor->first)) {
		cursor->first->growth--;
		found = share_grow(cursor, claim);
	} else {
		found = share_replace(cursor, claim);
	}
	if (!found)
		return 0;
	best = share_best(claim);
	cursor->window->way[best] = *key;
	return share_slot(claim) + best;
}

/* The table is full: within this unit of time, new entries of this share replace its own. */
static __always_inline void share_full(struct tw_share_cursor *cursor, const struct tw_claim *claim)
{
	cursor->first->full = claim->now + 1;
	cursor->first->growth = 0;
}

#endif
