/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The names by which an unconnected UDP socket asked its peers, so that answers get the same name.
 *
 * A datagram contains its sender's address and no more. So if a socket asks a backend by two names, the name of
 * an answer is ambiguous. An address has one name at a time, and gets another one only when no answer is
 * pending.
 */
#ifndef TW_SK_NAMES_H
#define TW_SK_NAMES_H

#include "idle.h"
#include "service.h"
#include "sk_peers.h"

#define PEER_PLACES 4 /* places that the peer of a Service may have */
#define PEER_WAIT 10  /* units of ct_now() after which no answer is expected */

static __always_inline bool peer_is_waited_for(const struct tw_peer *peer, __u32 now)
{
	return peer->waiting && now - peer->asked <= PEER_WAIT;
}

/* May the address be asked by this name? Not while an answer to another name is pending. */
static __always_inline bool peer_may_be(struct tw_peers *peers, const struct tw_end *to,
					const struct tw_end *name, __u32 now)
{
	struct tw_peer *peer = peers ? peer_find(peers, to) : 0;

	return !peer || !peer_is_waited_for(peer, now) || end_equal(&peer->vip, name);
}

/* The place that the peer of a Service has, or may take. */
static __always_inline __u32 peer_place(struct tw_peers *peers, const struct tw_end *vip)
{
	__u32 at = peer_hash(vip);

#pragma unroll
	for (int i = 0; i < PEER_PLACES; i++) {
		__u32 place = (at + i) & (TW_PEERS - 1);
		__u8 of = peers->place[place];

		if (!of || end_equal(&peers->peer[(of - 1) & (TW_PEERS - 1)].vip, vip))
			return place;
	}
	return at;
}

/* The backend of this socket's last packet to the same Service, if it still serves. */
static __always_inline struct tw_peer *peer_of_service(struct tw_peers *peers,
						       const struct tw_end *vip)
{
	__u32 place = peer_place(peers, vip) & (TW_PEERS - 1);
	struct tw_peer *peer;

	if (!peers->place[place])
		return 0;
	peer = &peers->peer[(peers->place[place] - 1) & (TW_PEERS - 1)];
	if (!peer->asked || !peer->backend || !end_equal(&peer->vip, vip) ||
	    !tw_be_v1.lookup(&peer->backend))
		return 0;
	return peer;
}

static __always_inline void peer_ask(struct tw_peer *peer, __u32 now)
{
	peer->waiting = peer_is_waited_for(peer, now) ? peer->waiting + 1 : 1;
	peer->asked = now;
}

/* The place of an address: its own, else that of the address that was not asked for longest. */
static __always_inline int peer_room(struct tw_peers *peers, const struct tw_end *to, __u32 now,
				     __u32 *room)
{
	__u32 at = peer_hash(to), best = 0, best_age = 0;

#pragma unroll
	for (int i = 0; i < PEER_PROBES; i++) {
		struct tw_peer *peer = &peers->peer[(at + i) & (TW_PEERS - 1)];
		__u32 age = peer->asked ? now - peer->asked + 1 : ~1U;

		if (peer->asked && end_equal(&peer->to, to))
			age = ~0U;
		else if (peer_is_waited_for(peer, now))
			age = 0;
		if (age > best_age) {
			best_age = age;
			best = i;
		}
	}
	*room = (at + best) & (TW_PEERS - 1);
	return best_age ? TW_GO_ON : TW_REJECT_NO_ROOM;
}

/*
 * Record that `choice->to` is asked by the name `vip`. Without a backend, that is the address itself. The call
 * fails if answers from too many peers are pending.
 */
static __always_inline int peer_remember(struct tw_peers *peers, const struct tw_end *vip,
					 const struct tw_choice *choice, __u32 now)
{
	struct tw_peer *peer;
	__u32 room;

	if (peer_room(peers, &choice->to, now, &room))
		return TW_REJECT_NO_ROOM;
	peer = &peers->peer[room & (TW_PEERS - 1)];
	if (!end_equal(&peer->vip, vip) || !end_equal(&peer->to, &choice->to))
		peer->waiting = 0;
	end_copy(&peer->vip, vip);
	end_copy(&peer->to, &choice->to);
	peer->backend = choice->backend;
	peer_ask(peer, now);
	if (choice->backend)
		peers->place[peer_place(peers, vip) & (TW_PEERS - 1)] = room + 1;
	return TW_GO_ON;
}

/* From now on an address that the socket may have asked has this name. */
static __always_inline void peer_rename(struct tw_peers *peers, const struct tw_end *vip,
					const struct tw_choice *choice)
{
	struct tw_peer *peer = peers ? peer_find(peers, &choice->to) : 0;

	if (!peer || end_equal(&peer->vip, vip))
		return;
	end_copy(&peer->vip, vip);
	peer->backend = choice->backend;
	peer->waiting = 0;
}

#endif
