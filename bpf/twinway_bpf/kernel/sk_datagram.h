/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Serves sendto() and sendmsg(), and gives recvfrom() and recvmsg() the names that the process used. */
#ifndef TW_SK_DATAGRAM_H
#define TW_SK_DATAGRAM_H

#include "sk_call.h"

/* Serve sendto() and sendmsg(). dst becomes the backend. Returns the reason. */
static __always_inline int sock_sendmsg(struct bpf_sock_addr *ctx, struct tw_end *dst)
{
	struct sock_call call = {.ctx = ctx};
	struct tw_choice choice = {};
	struct tw_cfg *cfg = cfg_get();
	struct tw_peer *known;
	int rc;

	if (!cfg || !sock_is_ours(ctx, cfg))
		return TW_GO_ON;
	call.now = ct_now() + 1;
	call.peers = tw_skpeer_v3.sk_storage_get(ctx->sk, 0, 0);
	known = call.peers ? peer_of_service(call.peers, dst) : 0;
	if (known) {
		peer_ask(known, call.now);
		end_copy(dst, &known->to);
		return TW_GO_ON;
	}
	rc = sock_choose(&call, dst, &choice);
	if (rc)
		return rc;
	if (!choice.backend)
		return sock_direct(&call, dst);
	if (!call.peers)
		call.peers = tw_skpeer_v3.sk_storage_get(ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!call.peers || peer_remember(call.peers, dst, &choice, call.now))
		return TW_REJECT_NO_ROOM;
	end_copy(dst, &choice.to);
	return TW_SOCKET_SERVED;
}

/* The source of a datagram, by the name that the process used. */
static __always_inline void sock_recvmsg(struct bpf_sock_addr *ctx, struct tw_end *src)
{
	struct tw_sk *given = tw_sk_v2.sk_storage_get(ctx->sk, 0, 0);
	struct tw_peers *peers;
	struct tw_peer *peer;

	/* no hook sees a socket that is disconnected (AF_UNSPEC) */
	if (given && given->backend && ctx->sk->dst_port && end_equal(&given->to, src)) {
		end_copy(src, &given->vip);
		return;
	}
	peers = tw_skpeer_v3.sk_storage_get(ctx->sk, 0, 0);
	if (!peers)
		return;
	peer = peer_find(peers, src);
	if (!peer)
		return;
	if (peer->waiting)
		peer->waiting -= 1;
	end_copy(src, &peer->vip);
}

#endif
