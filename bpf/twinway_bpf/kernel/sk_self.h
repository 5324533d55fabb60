/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A pod may always connect to itself, except through a Service: then policy applies to it as to any client. It
 * is judged where its packet leaves the socket or the loopback, because later the packet looks like other
 * traffic there. Source: network-policy-api #390.
 */
#ifndef TW_SK_SELF_H
#define TW_SK_SELF_H

#include "parse.h"
#include "policy.h"
#include "sk_peers.h"

/* Did the socket ask for a Service, and get the backend `to`? */
static __always_inline bool self_asked_service(struct bpf_sock *sk, const struct tw_end *to)
{
	struct tw_sk *given = tw_sk_v2.sk_storage_get(sk, 0, 0);
	struct tw_peers *peers;
	struct tw_peer *peer;

	if (given && given->backend && end_equal(&given->to, to))
		return 1;
	peers = tw_skpeer_v3.sk_storage_get(sk, 0, 0);
	if (!peers)
		return 0;
	peer = peer_find(peers, to);
	return peer && peer->backend;
}

/* Judge a packet that leaves for its own source address. */
static __always_inline int self_check(struct bpf_sock *sk, const struct tw_pkt *pkt)
{
	struct tw_ends ends = {};

	if (!self_asked_service(sk, &pkt->dst))
		return TW_GO_ON;
	addr_copy(ends.from, pkt->src.addr);
	addr_copy(ends.to, pkt->dst.addr);
	ends.port = pkt->dst.port;
	ends.proto = pkt->proto;
	return policy_judge(&ends);
}

#endif
