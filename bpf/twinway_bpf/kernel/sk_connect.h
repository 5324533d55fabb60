/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What connect() asks for, and what getpeername() answers. */
#ifndef TW_SK_CONNECT_H
#define TW_SK_CONNECT_H

#include "sk_call.h"

/* No host has this address. A connect to it probes whether the hook runs, and is refused. */
#define PROBE_ADDR 0xa9fe2a02 /* 169.254.42.2 */
#define PROBE_PORT 29815

static __always_inline bool sock_is_probe(struct bpf_sock_addr *ctx, const struct tw_end *dst)
{
	struct tw_notes *notes;

	if (dst->addr[3] != be32(PROBE_ADDR) || dst->port != be16(PROBE_PORT))
		return 0;
	notes = notes_get();
	if (notes) {
		notes->probe_netns = bpf_get_netns_cookie(ctx);
		notes->probes += 1;
	}
	return 1;
}

/*
 * If there is policy, record that a TCP socket connected: its connection is judged as the initiator's. The
 * verdict on an earlier connection of the socket is deleted.
 */
static __always_inline bool sock_is_noted(struct bpf_sock_addr *ctx, const struct tw_cfg *cfg)
{
	if (!(cfg->flags & TW_CFG_POLICY_AT_SOCKET) ||
	    (ctx->protocol != PROTO_TCP && ctx->protocol != PROTO_MPTCP))
		return 0;
	tw_skpol_v3.sk_storage_delete(ctx->sk);
	return 1;
}

/* Serve connect(). dst becomes the backend. Returns the reason. */
static __always_inline int sock_connect(struct bpf_sock_addr *ctx, struct tw_end *dst)
{
	struct sock_call call = {.ctx = ctx, .connects = 1};
	struct tw_choice choice = {};
	struct tw_cfg *cfg = cfg_get();
	struct tw_sk *given;
	bool noted;
	int rc;

	/* an earlier connection of this socket is over, even if this call fails */
	tw_sk_v2.sk_storage_delete(ctx->sk);
	if (!cfg)
		return TW_GO_ON;
	if (sock_is_probe(ctx, dst))
		return TW_REJECT_NO_PORT;
	if (!sock_is_ours(ctx, cfg))
		return TW_GO_ON;
	if (ctx->protocol == PROTO_UDP) {
		call.peers = tw_skpeer_v3.sk_storage_get(ctx->sk, 0, 0);
		call.now = ct_now() + 1;
	}
	rc = sock_choose(&call, dst, &choice);
	if (rc)
		return rc;
	noted = sock_is_noted(ctx, cfg);
	if (!choice.backend && !noted)
		return ctx->protocol == PROTO_UDP ? sock_direct(&call, dst) : TW_SOCKET_PASSED;
	given = tw_sk_v2.sk_storage_get(ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!given)
		return TW_REJECT_NO_ROOM;
	if (!choice.backend)
		return TW_SOCKET_PASSED;
	peer_rename(call.peers, dst, &choice);
	end_copy(&given->vip, dst);
	end_copy(&given->to, &choice.to);
	given->backend = choice.backend;
	end_copy(dst, &choice.to);
	return TW_SOCKET_SERVED;
}

static __always_inline void sock_name_peer(struct bpf_sock *sk, struct tw_end *peer)
{
	struct tw_sk *given = tw_sk_v2.sk_storage_get(sk, 0, 0);

	if (given && given->backend && end_equal(&given->to, peer))
		end_copy(peer, &given->vip);
}

/* The peer that getpeername() returns. The storage of an MPTCP connection is on its first TCP socket. */
static __always_inline void sock_getpeername(struct bpf_sock_addr *ctx, struct tw_end *peer)
{
	struct bpf_sock *first;

	if (ctx->protocol != PROTO_MPTCP) {
		sock_name_peer(ctx->sk, peer);
		return;
	}
	first = sock_beside(ctx, peer, PROTO_TCP);
	if (!first)
		return;
	sock_name_peer(first, peer);
	bpf_sk_release(first);
}

#endif
