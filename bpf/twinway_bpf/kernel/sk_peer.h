/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is no connection, at its sockets: UDP, and TCP of raw sockets. Every peer counts for itself.
 * Where only one direction is open, who spoke first is remembered, and nothing else.
 */
#ifndef TW_SK_PEER_H
#define TW_SK_PEER_H

#include "idle.h"
#include "judge.h"
#include "sk_maps.h"

/*
 * (socket, peer) -> who spoke first. Written and read here. Missing: nobody.
 * Full: the least recently used goes, and its next answer is denied, as if it came too late.
 */
BPF_TABLE("lru_hash", struct tw_udp_key, struct tw_udp, tw_udp_v1, 16384);

/*
 * Both directions of a peer. Of a connected UDP socket they are kept, and replaced as a whole:
 * what is kept is never changed, for another processor may be reading it.
 */
static __always_inline __u64 both_judge(struct bpf_sock *sk, const struct tw_view *view, __u8 proto,
					__u32 rev)
{
	bool kept = proto == PROTO_UDP && sk->dst_port;
	struct tw_skpol *known, fresh = {};
	__u64 rule;
	__u8 egress;

	known = kept ? tw_skpol_v2.sk_storage_get(sk, 0, 0) : 0;
	if (known && (__u32)known->said == rev && end_equal(&known->peer, view->remote))
		return known->said;
	egress = judge(view, proto, 1, &rule);
	fresh.said = said_of(rev, egress, judge(view, proto, 0, &rule));
	if (kept) {
		end_copy(&fresh.peer, view->remote);
		tw_skpol_v2.sk_storage_delete(sk);
		tw_skpol_v2.sk_storage_get(sk, &fresh, BPF_SK_STORAGE_GET_F_CREATE);
	}
	return fresh.said;
}

static __always_inline void udp_key(struct tw_udp_key *key, struct __sk_buff *skb,
				    const struct tw_end *peer)
{
	key->socket = bpf_get_socket_cookie(skb);
	end_copy(&key->peer, peer);
}

static __always_inline void udp_remember(struct __sk_buff *skb, const struct tw_end *peer,
					 __u8 flag)
{
	struct tw_udp_key key = {};
	struct tw_udp *found, fresh = {};

	udp_key(&key, skb, peer);
	found = tw_udp_v1.lookup(&key);
	if (found && (found->flags & flag)) {
		found->seen = ct_now();
		return;
	}
	fresh.seen = ct_now();
	fresh.flags = flag;
	tw_udp_v1.update(&key, &fresh);
}

static __always_inline bool udp_answers(struct __sk_buff *skb, const struct tw_end *peer, __u8 flag)
{
	struct tw_udp_key key = {};
	struct tw_udp *found;

	udp_key(&key, skb, peer);
	found = tw_udp_v1.lookup(&key);
	return found && (found->flags & flag) && ct_now() - found->seen <= CT_IDLE_UDP;
}

/*
 * UDP, and TCP that is of no connection (a raw socket's): either end may be the one that asked. Of
 * UDP that is remembered; TCP that begins something meets the guard.
 */
static __always_inline int both_check(struct __sk_buff *skb, struct bpf_sock *sk,
				      const struct tw_view *view, __u8 proto, __u32 rev, bool out)
{
	__u64 said = both_judge(sk, view, proto, rev);
	__u8 mine = said_way(said, out), other = said_way(said, !out);
	bool udp = proto == PROTO_UDP;
	__u64 rule = 0;

	if (mine == TW_ALLOW) {
		if (other != TW_ALLOW && udp)
			udp_remember(skb, view->remote, out ? TW_UDP_SENT : TW_UDP_RECEIVED);
		return TW_GO_ON;
	}
	if (other == TW_ALLOW &&
	    (!udp || udp_answers(skb, view->remote, out ? TW_UDP_RECEIVED : TW_UDP_SENT)))
		return TW_GO_ON;
	/* one rule a direction is not worth keeping: who is denied may wait for it */
	judge(view, proto, out, &rule);
	return judged(mine, rule, out);
}

#endif
