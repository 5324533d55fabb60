/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The connection table. A connection through a Service has two entries:
 *
 *     record  (client, backend) -> peer = Service     found by replies, and by what is translated
 *     alias   (client, Service) -> peer = backend     found by what the client sends
 *
 * Neither is right alone, and each makes the other again: the client writes a record
 * that was evicted, and finds the same backend without its alias, because the choice is a hash of
 * the connection over a sorted set. So an eviction costs a look-up, not a connection. Both are
 * renewed together, once in a unit of time: in between, an alias answers for its record.
 */
#ifndef TW_CONNTRACK_H
#define TW_CONNTRACK_H

#include "idle.h"
#include "parse.h"
#include "service.h"
#include "worth.h"

/* An entry that is to be written when all is decided. */
struct tw_fresh {
	struct tw_ct_key key;
	struct tw_ct ct;
};

#define TW_FRESH_RECORD 1
#define TW_FRESH_ALIAS 2

/* Which entries end with a connection. Kept apart from them. verifier: their pointers end before. */
enum tw_over {
	TW_OVER_NOT = 0,
	TW_OVER_DIRECT = 1,  /* the record alone */
	TW_OVER_SERVICE = 2, /* its alias, too */
	TW_OVER_BY_NAME = 3, /* or that of a backend asked by its own name */
};

/* What is known of a packet's connection, apart from its entries. */
struct tw_names {
	struct tw_ct_key key; /* of the record */
	struct tw_end client; /* of a translated connection: the ends that the client wrote */
	struct tw_end vip;
	struct tw_end
		given; /* what the client is called after translation; port 0: not chosen yet */
	struct tw_choice choice;  /* and its peer */
	struct tw_fresh entry[2]; /* its record and its alias, where they are new */
	__u32 now;
	/* verifier: these are here, and not on the stack, lest it walk each combination of them */
	__u8 forward; /* this packet comes from the initiator */
	__u8 hairpin; /* a pod's connection to itself through a Service */
	__u8 moved;   /* asked a backend by its own name, and was given another port */
	__u8 turned; /* meets this hook again, translated; the pod may pretend that, to its own harm */
	__u8 over;     /* enum tw_over: this is the connection's last packet */
	__u8 fresh;    /* which of them are to be written: TW_FRESH_RECORD, TW_FRESH_ALIAS */
	__u8 received; /* met where it is received: who sent it, its own bytes say alone */
};

/* verifier: pointers into maps may stand on the stack alone, so this does */
struct tw_conn {
	struct tw_names *names;
	struct tw_ct *ct;    /* the record; NULL: none yet */
	struct tw_ct *alias; /* the alias; NULL: none yet, or no Service */
};

static __always_inline bool end_before(const struct tw_end *a, const struct tw_end *b)
{
#pragma unroll
	for (int i = 0; i < 4; i++) {
		if (a->addr[i] != b->addr[i])
			return a->addr[i] < b->addr[i];
	}
	return a->port <= b->port;
}

/* The key of what goes from one end to another; answers whether the source is end 0. */
static __always_inline bool ct_key(struct tw_ct_key *key, const struct tw_end *src,
				   const struct tw_end *dst, __u8 proto)
{
	bool first = end_before(src, dst);

	key->proto = proto;
	end_copy(&key->end[0], first ? src : dst);
	end_copy(&key->end[1], first ? dst : src);
	return first;
}

static __always_inline bool ct_expired(const struct tw_ct *ct, __u8 proto, __u32 now)
{
	__u32 idle = now - ct->seen;

	if (proto != PROTO_TCP)
		return idle > CT_IDLE_UDP;
	if (ct->flags & TW_CT_FIN_BOTH)
		return idle > CT_IDLE_CLOSED;
	if (ct->flags & TW_CT_CLOSING)
		return idle > CT_IDLE_HALF_CLOSED;
	return idle > (ct->flags & TW_CT_REPLIED ? CT_IDLE_TCP : CT_IDLE_TCP_UNANSWERED);
}

/* What an entry is worth to its share: ct_expired() and more, without a branch. */
static __always_inline __u64 share_worth(const struct tw_ct_key *key, const struct tw_ct *ct,
					 __u32 now)
{
	__u64 flags = ct->flags, proto = key->proto;
	__u64 replied = worth_bit((flags / TW_CT_REPLIED) & 1);
	__u64 assured = worth_bit((flags / TW_CT_ASSURED) & 1);
	__u64 both = worth_bit((flags / TW_CT_FIN_BOTH) & 1);
	__u64 ended = both | worth_bit((flags / TW_CT_RESET) & 1);
	__u64 idle, worth = TW_WORTH_ASKED + replied + (assured & replied);

	idle = worth_choose(replied, CT_IDLE_TCP, CT_IDLE_TCP_UNANSWERED);
	idle = worth_choose((flags / TW_CT_CLOSING) & 1, CT_IDLE_HALF_CLOSED, idle);
	idle = worth_choose(both, CT_IDLE_CLOSED, idle);
	idle = worth_choose(-(proto ^ PROTO_TCP) >> 63, CT_IDLE_UDP, idle);
	worth = worth_choose(ended, TW_WORTH_ENDED, worth);
	return worth_choose(worth_silent(now - ct->seen, idle), TW_WORTH_OVER, worth);
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

static __always_inline bool is_syn(const struct tw_pkt *pkt)
{
	return pkt->proto == PROTO_TCP && (pkt->tcp & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/*
 * A SYN opens a connection anew, unless it repeats the one that is opening or open. While that is
 * half closed, its other end refuses the SYN, or has forgotten: then its SYN-ACK opens it anew.
 */
static __always_inline bool ct_reopens(const struct tw_ct *ct, const struct tw_pkt *pkt,
				       bool forward)
{
	if (!is_syn(pkt))
		return 0;
	return !forward || (ct->flags & (TW_CT_FIN_BOTH | TW_CT_RESET));
}

/*
 * What a TCP segment says of its connection. A RST may be forged, or out of its window, which we do
 * not know: it shortens nothing, and what is sent after it says that it was not obeyed.
 */
static __always_inline __u16 ct_flags_tcp(const struct tw_pkt *pkt, __u16 flags, bool forward)
{
	if (pkt->tcp & TCP_RST)
		return flags | TW_CT_RESET;
	flags &= ~TW_CT_RESET;
	if (!forward && (pkt->tcp & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK))
		flags &= ~(TW_CT_CLOSING | TW_CT_FIN_FIRST | TW_CT_FIN_BOTH);
	if (forward && (flags & TW_CT_REPLIED) && !(pkt->tcp & TCP_SYN))
		flags |= TW_CT_ASSURED;
	return pkt->tcp & TCP_FIN ? flags | TW_CT_CLOSING : flags;
}

/* Note that a packet passed. Writes as little as it can: the entry is shared by all CPUs. */
static __always_inline void ct_touch(const struct tw_pkt *pkt, const struct tw_conn *conn)
{
	struct tw_ct *ct = conn->ct;
	bool forward = conn->names->forward;
	__u16 flags = ct->flags;

	if (!forward)
		flags |= TW_CT_REPLIED;
	if (pkt->proto == PROTO_TCP)
		flags = ct_flags_tcp(pkt, flags, forward);
	else if (forward && (flags & TW_CT_REPLIED))
		flags |= TW_CT_ASSURED;
	if (flags != ct->flags)
		ct->flags = flags;
	if (!(flags & TW_CT_CLOSING) && ct->fin)
		ct->fin = 0;
	if (conn->names->now != ct->seen)
		ct->seen = conn->names->now;
}

/*
 * Spread connections: equal for equal (client, Service), whatever CPU or moment. Multiply and
 * xor-shift after Stafford's mix 13; `skb->hash` will not do, it changes with retransmissions.
 */
static __always_inline __u32 ct_hash(const struct tw_pkt *pkt)
{
	__u64 h = ((__u64)pkt->src.addr[3] << 32) | pkt->dst.addr[3];

	h ^= ((__u64)pkt->src.port << 40) ^ ((__u64)pkt->dst.port << 16) ^ pkt->proto;
	h ^= (__u64)pkt->src.addr[2] * 0x9e3779b97f4a7c15;
	h ^= h >> 30;
	h *= 0xbf58476d1ce4e5b9;
	h ^= h >> 27;
	h *= 0x94d049bb133111eb;
	return (h ^ (h >> 31)) >> 16;
}

/* The record that belongs to the packet's own addresses, or the alias it leads through. */
static __always_inline void ct_find(const struct tw_pkt *pkt, struct tw_conn *conn)
{
	bool first = ct_key(&conn->names->key, &pkt->src, &pkt->dst, pkt->proto);
	struct tw_ct *ct = tw_ct_v3.lookup(&conn->names->key);

	conn->names->now = ct_now();
	conn->names->forward = 1;
	if (!ct || ct_expired(ct, pkt->proto, conn->names->now))
		return;
	conn->names->forward = first == !!(ct->flags & TW_CT_FIRST);
	conn->names->hairpin = !!(ct->flags & TW_CT_HAIRPIN);
	if (ct->flags & TW_CT_ALIAS) {
		conn->names->choice.backend = ct->backend;
		conn->alias = ct;
		return;
	}
	if (ct_reopens(ct, pkt, conn->names->forward))
		conn->names->forward = 1;
	else
		conn->ct = ct;
}

/*
 * A pod's own packet to a backend by its address meets the record of a connection from the same
 * port to that backend through a Service. Replies could not be told apart, so this one goes on from
 * another port (as nf_nat does), with an alias beside the record. In the middle of a connection it
 * is too late for that: then the record is an old one, which is taken over.
 */
static __always_inline void ct_beside(const struct tw_pkt *pkt, struct tw_conn *conn)
{
	struct tw_ct *alias;

	if (!conn->ct || !conn->names->forward || conn->names->hairpin || conn->names->turned ||
	    !(conn->ct->flags & TW_CT_NAT))
		return;
	conn->ct = 0;
	conn->names->key.written = 1;
	alias = tw_ct_v3.lookup(&conn->names->key);
	conn->names->key.written = 0;
	if (alias && !ct_expired(alias, pkt->proto, conn->names->now)) {
		end_copy(&conn->names->given, &alias->client);
		conn->alias = alias;
	} else if (pkt->proto == PROTO_TCP && !(pkt->tcp & TCP_SYN)) {
		return;
	}
	end_copy(&conn->names->choice.to, &pkt->dst);
	conn->names->moved = 1;
}

#define PORT_TRIES 3 /* then the packet is dropped: three others have the name */
#define PORT_FIRST 32768

/* May another connection have its name? Not while it is half closed, or may have outlived a RST. */
static __always_inline bool ct_gives_name(const struct tw_ct *ct, __u32 now)
{
	if (ct->flags & TW_CT_FIN_BOTH)
		return 1;
	return (ct->flags & TW_CT_RESET) && now - ct->seen > CT_IDLE_CLOSED;
}

/*
 * May the connection have the name (client, backend) that pkt bears? Also finds its record, where
 * that is there already. Of another Service with this backend, or asked directly: somebody else's.
 */
static __always_inline bool ct_take_name(const struct tw_pkt *pkt, struct tw_conn *conn)
{
	bool first = ct_key(&conn->names->key, &pkt->src, &pkt->dst, pkt->proto);
	struct tw_ct *ct = tw_ct_v3.lookup(&conn->names->key);

	if (!ct || ct_expired(ct, pkt->proto, conn->names->now))
		return 1;
	if (!(ct->flags & TW_CT_NAT) || !end_equal(&ct->client, &conn->names->client) ||
	    !end_equal(&ct->peer, &conn->names->vip))
		return ct_gives_name(ct, conn->names->now);
	if (first == !!(ct->flags & TW_CT_FIRST) && !ct_reopens(ct, pkt, 1))
		conn->ct = ct;
	return 1;
}

/*
 * Settle the port that the backend sees: the one that the client was given before, else its own, unless
 * another connection has that there. By hash, like the backend: a lost alias is made again as it was.
 */
static __always_inline int ct_name(struct tw_pkt *pkt, struct tw_conn *conn, __u32 hash)
{
	bool given = conn->names->given.port;

	conn->ct = 0;
#pragma unroll
	for (int i = 0; i < PORT_TRIES; i++) {
		/* a name that was given is no longer asked for: this connection is the newer */
		if (ct_take_name(pkt, conn) || given)
			return TW_GO_ON;
		pkt->src.port = be16((__u16)(PORT_FIRST + (hash & (PORT_FIRST - 1))));
		hash >>= 15;
	}
	return TW_DROP_NO_ENTRY;
}

/* Have the record of a new connection written: pkt holds its real ends, names->vip what the client wrote. */
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

/* Have the alias written: from the ends that the client wrote to those of the record. */
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

/* Write an entry, which takes a place in the share of the pod at whose hook it is written. */
static __always_inline int ct_insert(struct tw_hold *hold, struct tw_fresh *fresh,
				     struct tw_claim *claim)
{
	fresh->ct.seen = claim->now;
	fresh->ct.slot = share_claim(hold, &fresh->key, claim);
	if (!fresh->ct.slot)
		return TW_DROP_NO_ENTRY;
	if (!tw_ct_v3.update(&fresh->key, &fresh->ct))
		return TW_GO_ON;
	share_full(hold, claim);
	return TW_DROP_NO_ENTRY;
}

/*
 * Write what is new. Apart from what decides, and from memory: verifier: else it walks this for each
 * way there.
 */
static __always_inline int ct_commit(const struct tw_pkt *pkt, struct tw_names *names)
{
	/* under translation, a packet may bear an address that is not its sender's */
	const __be32 *sender = pkt->changed ? names->client.addr : pkt->src.addr;
	struct tw_claim *claim;
	struct tw_hold hold;

	if (!names->fresh)
		return TW_GO_ON;
	claim = claim_get();
	if (!claim)
		return TW_DROP_NO_ENTRY;
	addr_copy(claim->at.addr, names->received ? pkt->dst.addr : sender);
	addr_copy(claim->initiator, sender);
	claim->received = names->received ? TW_SHARE_RECEIVED : 0;
	claim->now = names->now;
	if (!share_open(&hold, claim))
		return TW_DROP_NO_ENTRY;
	for (int i = 0; i < 2; i++) {
		struct tw_fresh *fresh = &names->entry[i];

		if ((names->fresh & (1 << i)) && ct_insert(&hold, fresh, claim))
			return TW_DROP_NO_ENTRY;
	}
	return TW_GO_ON;
}

#endif
