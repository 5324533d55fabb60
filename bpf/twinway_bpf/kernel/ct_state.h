/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a packet program knows of a connection while it decides, and the keys of its entries. */
#ifndef TW_CT_STATE_H
#define TW_CT_STATE_H

#include "parse.h"
#include "service.h"

/* An entry that is written once everything is decided. */
struct tw_fresh {
	struct tw_ct_key key;
	struct tw_ct ct;
};

#define TW_FRESH_RECORD 1
#define TW_FRESH_ALIAS 2

/* Which entries end with a connection. verifier: pointers to them do not live as long as this. */
enum tw_over {
	TW_OVER_NOT = 0,
	TW_OVER_DIRECT = 1,  /* the record alone */
	TW_OVER_SERVICE = 2, /* its alias, too */
	TW_OVER_BY_NAME = 3, /* or that of a backend asked by its own name */
};

/* What is known of a packet's connection, beside its entries. */
struct tw_names {
	struct tw_ct_key key;	  /* of the record */
	struct tw_end client;	  /* if translated: the ends that the client wrote, */
	struct tw_end vip;	  /* its own and the Service's */
	struct tw_end given;	  /* the client's end after translation; port 0: not chosen yet */
	struct tw_choice choice;  /* the backend */
	struct tw_fresh entry[2]; /* the record and the alias, if they are new */
	__u32 now;
	/* verifier: in memory and not on the stack, because it would walk each combination of values */
	__u8 forward; /* this packet comes from the initiator */
	__u8 hairpin; /* a pod's connection to itself through a Service */
	__u8 moved; /* the client asked a backend by its own address, and was given another port */
	__u8 redirected; /* meets this hook again after translation; a pod that forges this harms only itself */
	__u8 over;     /* enum tw_over: this is the connection's last packet */
	__u8 fresh;    /* which entries to write: TW_FRESH_RECORD, TW_FRESH_ALIAS */
	__u8 received; /* met at the receiver: its source address was not checked */
};

/* verifier: pointers to map values may only be on the stack */
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

#endif
