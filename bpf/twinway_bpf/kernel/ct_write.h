/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Writes the entries of a new connection, and evicts others of the same pod for them (share.h). */
#ifndef TW_CT_WRITE_H
#define TW_CT_WRITE_H

#include "ct_state.h"
#include "idle.h"
#include "priority.h"

/* The eviction priority of an entry. It includes ct_expired(), without a branch. */
static __always_inline __u64 share_priority(const struct tw_ct_key *key, const struct tw_ct *ct,
					    __u32 now)
{
	__u64 flags = ct->flags, proto = key->proto;
	__u64 replied = opaque((flags / TW_CT_REPLIED) & 1);
	__u64 assured = opaque((flags / TW_CT_ASSURED) & 1);
	__u64 both = opaque((flags / TW_CT_FIN_BOTH) & 1);
	__u64 ended = both | opaque((flags / TW_CT_RESET) & 1);
	__u64 idle, priority = TW_PRIORITY_ASKED + replied + (assured & replied);

	idle = choose(replied, CT_IDLE_TCP, CT_IDLE_TCP_UNANSWERED);
	idle = choose((flags / TW_CT_CLOSING) & 1, CT_IDLE_HALF_CLOSED, idle);
	idle = choose(both, CT_IDLE_CLOSED, idle);
	idle = choose(-(proto ^ PROTO_TCP) >> 63, CT_IDLE_UDP, idle);
	priority = choose(ended, TW_PRIORITY_ENDED, priority);
	return choose(is_silent(now - ct->seen, idle), TW_PRIORITY_OVER, priority);
}

static __always_inline struct tw_ct *share_entry(struct tw_ct_key *key)
{
	return tw_ct_v3.lookup(key);
}

static __always_inline void share_evict(struct tw_ct_key *key)
{
	tw_ct_v3.delete(key);
}

static __always_inline struct tw_share *share_find(const struct tw_share_key *at)
{
	return tw_ct_share_v2.lookup((struct tw_share_key *)at);
}

static __always_inline void share_make(const struct tw_share_key *at, struct tw_share *empty)
{
	tw_ct_share_v2.update((struct tw_share_key *)at, empty);
}

#define SHARE_ENTRY struct tw_ct
#define SHARE_LIMIT TW_LIMIT_CT
#include "share.h"

/* Prepare the record of a new connection; pkt holds its ends after translation. */
static __always_inline void ct_create(const struct tw_pkt *pkt, struct tw_names *names, __u32 rev)
{
	struct tw_ct *ct = &names->entry[0].ct;

	__builtin_memset(&names->entry[0], 0, sizeof(names->entry[0]));
	if (ct_key(&names->key, &pkt->src, &pkt->dst, pkt->proto))
		ct->flags |= TW_CT_FIRST;
	names->entry[0].key = names->key;
	if (names->choice.backend || names->moved) {
		ct->flags |= TW_CT_NAT | (names->hairpin ? TW_CT_HAIRPIN : 0);
		ct->backend = names->choice.backend;
		end_copy(&ct->client, &names->client);
		end_copy(&ct->peer, &names->vip);
	}
	ct->rev = rev;
	names->fresh |= TW_FRESH_RECORD;
}

/* Prepare the alias: from the ends that the client wrote to those of the record. */
static __always_inline void ct_create_alias(const struct tw_pkt *pkt, struct tw_names *names,
					    __u32 rev)
{
	struct tw_ct *ct = &names->entry[1].ct;

	__builtin_memset(&names->entry[1], 0, sizeof(names->entry[1]));
	names->entry[1].key.written = names->moved;
	ct->flags = TW_CT_ALIAS | TW_CT_REPLIED | (names->hairpin ? TW_CT_HAIRPIN : 0);
	if (ct_key(&names->entry[1].key, &names->client, &names->vip, pkt->proto))
		ct->flags |= TW_CT_FIRST;
	ct->backend = names->choice.backend;
	end_copy(&ct->client, &pkt->src);
	end_copy(&ct->peer, &pkt->dst);
	ct->rev = rev;
	names->fresh |= TW_FRESH_ALIAS;
}

/* Write an entry into the share that claim->at names. */
static __always_inline int ct_insert(struct tw_share_cursor *cursor, struct tw_fresh *fresh,
				     struct tw_claim *claim)
{
	fresh->ct.seen = claim->now;
	fresh->ct.slot = share_claim(cursor, &fresh->key, claim);
	if (!fresh->ct.slot)
		return TW_DROP_NO_ENTRY;
	if (!tw_ct_v3.update(&fresh->key, &fresh->ct))
		return TW_GO_ON;
	share_full(cursor, claim);
	return TW_DROP_NO_ENTRY;
}

/*
 * Write new entries. verifier: this is apart from the decisions and reads from memory, because it would
 * walk it once for each path that leads here.
 */
static __always_inline int ct_commit(const struct tw_pkt *pkt, struct tw_names *names)
{
	/* a translated packet may bear an address that is not its sender's */
	const __be32 *sender = pkt->changed ? names->client.addr : pkt->src.addr;
	struct tw_claim *claim;
	struct tw_share_cursor cursor;

	if (!names->fresh)
		return TW_GO_ON;
	claim = claim_get();
	if (!claim)
		return TW_DROP_NO_ENTRY;
	addr_copy(claim->at.addr, names->received ? pkt->dst.addr : sender);
	addr_copy(claim->initiator, sender);
	claim->received = names->received ? TW_SHARE_RECEIVED : 0;
	claim->now = names->now;
	if (!share_open(&cursor, claim))
		return TW_DROP_NO_ENTRY;
	for (int i = 0; i < 2; i++) {
		struct tw_fresh *fresh = &names->entry[i];

		if ((names->fresh & (1 << i)) && ct_insert(&cursor, fresh, claim))
			return TW_DROP_NO_ENTRY;
	}
	return TW_GO_ON;
}

#endif
