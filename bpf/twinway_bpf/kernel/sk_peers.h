/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds a peer among those that an unconnected UDP socket has asked (sk_names.h). */
#ifndef TW_SK_PEERS_H
#define TW_SK_PEERS_H

#include "sk_maps.h"

#define PEER_PROBES 8

static __always_inline __u32 peer_hash(const struct tw_end *end)
{
	__u32 h = (end->addr[0] ^ end->addr[1] ^ end->addr[2]) * 31 + end->addr[3] + end->port;

	return (h * 0x9e3779b1) >> 26;
}

/* The entry of an address; NULL: the socket never asked it, or its entry was replaced. */
static __always_inline struct tw_peer *peer_find(struct tw_peers *peers, const struct tw_end *to)
{
	__u32 at = peer_hash(to);

#pragma unroll
	for (int i = 0; i < PEER_PROBES; i++) {
		struct tw_peer *peer = &peers->peer[(at + i) & (TW_PEERS - 1)];

		if (peer->asked && end_equal(&peer->to, to))
			return peer;
	}
	return 0;
}

#endif
