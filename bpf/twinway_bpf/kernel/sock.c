/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The socket path: a Service's address becomes its backend's once, when a socket connects or an
 * unconnected one sends, and is shown again where a program asks who its peer is.
 *
 * A v6 socket may speak IPv4: its mapped addresses need nothing special, keys are always 16 bytes.
 * What a socket was given is kept on the socket, and so ends with it.
 */
#include "service.h"
#include "sk_maps.h"
#include "tw_features.h"

#define ECONNREFUSED 111

/* Never anybody's: a connect to it asks the hook whether it is alive, and is refused. */
#define PROBE_ADDR 0xa9fe2a02 /* 169.254.42.2 */
#define PROBE_PORT 29815

/* As since 5.18; older headers do not know its number. Source: b44123b4a3dc ("bpf: Add cgroup helpers"). */
static int (*set_retval)(int) = (void *)187;

/* user_port holds a be16 in the low half of its 32 bits, whatever the UAPI's comment says. */
static __always_inline void end_from4(struct bpf_sock_addr *ctx, struct tw_end *end)
{
	addr_map4(end->addr, ctx->user_ip4);
	end->port = (__be16)ctx->user_port;
}

static __always_inline void end_from6(struct bpf_sock_addr *ctx, struct tw_end *end)
{
	end->addr[0] = ctx->user_ip6[0];
	end->addr[1] = ctx->user_ip6[1];
	end->addr[2] = ctx->user_ip6[2];
	end->addr[3] = ctx->user_ip6[3];
	end->port = (__be16)ctx->user_port;
}

static __always_inline void end_to4(struct bpf_sock_addr *ctx, const struct tw_end *end)
{
	ctx->user_ip4 = end->addr[3];
	ctx->user_port = end->port;
}

static __always_inline void end_to6(struct bpf_sock_addr *ctx, const struct tw_end *end)
{
	ctx->user_ip6[0] = end->addr[0];
	ctx->user_ip6[1] = end->addr[1];
	ctx->user_ip6[2] = end->addr[2];
	ctx->user_ip6[3] = end->addr[3];
	ctx->user_port = end->port;
}

/* Let the call fail as if the port were closed; kernels without set_retval can only say EPERM. */
static __always_inline int sock_refuse(void)
{
	if (features() & TW_HAS_SET_RETVAL)
		set_retval(-ECONNREFUSED);
	return 0;
}

/* Are this socket's Services served here, or on the path of its packets? */
static __always_inline bool sock_is_ours(struct bpf_sock_addr *ctx, const struct tw_cfg *cfg)
{
	return (cfg->flags & TW_CFG_PODS_AT_SOCKET) || bpf_get_netns_cookie(ctx) == cfg->host_netns;
}

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

static __always_inline int sock_choose(struct bpf_sock_addr *ctx, const struct tw_end *dst,
				       struct tw_choice *choice)
{
	struct tw_fe_key key = {};
	int rc;

	addr_copy(key.addr, dst->addr);
	key.port = dst->port;
	key.proto = ctx->protocol;
	rc = service_choose(&key, bpf_get_prandom_u32(), choice);
	verdict_count(rc ? rc : choice->backend ? TW_SOCKET_SERVED : TW_SOCKET_PASSED);
	return rc;
}

/*
 * Where policy is, that a TCP socket connected is for its connection to be judged by. What was said
 * of an earlier one of it is over.
 */
static __always_inline bool sock_is_noted(struct bpf_sock_addr *ctx, const struct tw_cfg *cfg)
{
	if (!(cfg->flags & TW_CFG_POLICY_AT_SOCKET) || ctx->protocol != PROTO_TCP)
		return 0;
	tw_skpol_v3.sk_storage_delete(ctx->sk);
	return 1;
}

/* What connect() asks for; dst becomes where it goes. 1: go on, 0: fail. */
static __always_inline int sock_connect(struct bpf_sock_addr *ctx, struct tw_end *dst)
{
	struct tw_choice choice = {};
	struct tw_cfg *cfg = cfg_get();
	struct tw_sk *given;
	bool noted;

	/* whatever an earlier connect of this socket was given is over, also when this one fails */
	tw_sk_v2.sk_storage_delete(ctx->sk);
	if (!cfg)
		return 1;
	if (sock_is_probe(ctx, dst))
		return sock_refuse();
	if (!sock_is_ours(ctx, cfg))
		return 1;
	if (sock_choose(ctx, dst, &choice))
		return sock_refuse();
	noted = sock_is_noted(ctx, cfg);
	if (!choice.backend && !noted)
		return 1;
	given = tw_sk_v2.sk_storage_get(ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!choice.backend)
		return 1;
	if (given) {
		end_copy(&given->vip, dst);
		end_copy(&given->to, &choice.to);
		given->backend = choice.backend;
	}
	end_copy(dst, &choice.to);
	return 1;
}

/* The backend that this socket's last packet to the same Service went to, if it still serves. */
static __always_inline bool peer_known(struct tw_peers *peers, struct tw_end *dst)
{
#pragma unroll
	for (int i = 0; i < TW_PEERS; i++) {
		struct tw_sk *peer = &peers->peer[i];

		if (peer->backend && end_equal(&peer->vip, dst) &&
		    tw_be_v1.lookup(&peer->backend)) {
			end_copy(dst, &peer->to);
			return 1;
		}
	}
	return 0;
}

/* The program now asks this address by its own name: its answers are nobody else's. */
static __always_inline void peer_forget(struct tw_peers *peers, const struct tw_end *to)
{
#pragma unroll
	for (int i = 0; i < TW_PEERS; i++) {
		if (end_equal(&peers->peer[i].to, to))
			peers->peer[i].backend = 0;
	}
}

/* Overwrite the entry of the same backend or Service, else the oldest. */
static __always_inline void peer_remember(struct tw_peers *peers, const struct tw_end *vip,
					  const struct tw_choice *choice)
{
	__u32 at = peers->next & (TW_PEERS - 1);
	bool fresh = 1;

#pragma unroll
	for (int i = 0; i < TW_PEERS; i++) {
		if (end_equal(&peers->peer[i].vip, vip) ||
		    end_equal(&peers->peer[i].to, &choice->to)) {
			at = i;
			fresh = 0;
		}
	}
	at &= TW_PEERS - 1;
	end_copy(&peers->peer[at].vip, vip);
	end_copy(&peers->peer[at].to, &choice->to);
	peers->peer[at].backend = choice->backend;
	if (fresh)
		peers->next += 1;
}

/* What sendto() and sendmsg() name as destination; dst becomes where it goes. */
static __always_inline int sock_sendmsg(struct bpf_sock_addr *ctx, struct tw_end *dst)
{
	struct tw_choice choice = {};
	struct tw_cfg *cfg = cfg_get();
	struct tw_peers *peers;

	if (!cfg || !sock_is_ours(ctx, cfg))
		return 1;
	peers = tw_skpeer_v2.sk_storage_get(ctx->sk, 0, 0);
	if (peers && peer_known(peers, dst))
		return 1;
	if (sock_choose(ctx, dst, &choice))
		return sock_refuse();
	if (!choice.backend) {
		if (peers)
			peer_forget(peers, dst);
		return 1;
	}
	if (!peers)
		peers = tw_skpeer_v2.sk_storage_get(ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (peers)
		peer_remember(peers, dst, &choice);
	end_copy(dst, &choice.to);
	return 1;
}

/* Who a datagram came from, as its reader knows them. */
static __always_inline void sock_recvmsg(struct bpf_sock_addr *ctx, struct tw_end *src)
{
	struct tw_sk *given = tw_sk_v2.sk_storage_get(ctx->sk, 0, 0);
	struct tw_peers *peers;

	/* a socket may have been disconnected since (AF_UNSPEC), which no hook sees */
	if (given && given->backend && ctx->sk->dst_port && end_equal(&given->to, src)) {
		end_copy(src, &given->vip);
		return;
	}
	peers = tw_skpeer_v2.sk_storage_get(ctx->sk, 0, 0);
	if (!peers)
		return;
#pragma unroll
	for (int i = 0; i < TW_PEERS; i++) {
		if (peers->peer[i].backend && end_equal(&peers->peer[i].to, src)) {
			end_copy(src, &peers->peer[i].vip);
			return;
		}
	}
}

/* Who getpeername() should name. */
static __always_inline void sock_getpeername(struct bpf_sock_addr *ctx, struct tw_end *peer)
{
	struct tw_sk *given = tw_sk_v2.sk_storage_get(ctx->sk, 0, 0);

	if (given && given->backend && end_equal(&given->to, peer))
		end_copy(peer, &given->vip);
}

int tw_connect4(struct bpf_sock_addr *ctx)
{
	struct tw_end end = {};
	int rc;

	end_from4(ctx, &end);
	rc = sock_connect(ctx, &end);
	end_to4(ctx, &end);
	return rc;
}

int tw_connect6(struct bpf_sock_addr *ctx)
{
	struct tw_end end = {};
	int rc;

	end_from6(ctx, &end);
	rc = sock_connect(ctx, &end);
	end_to6(ctx, &end);
	return rc;
}

int tw_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct tw_end end = {};
	int rc;

	end_from4(ctx, &end);
	rc = sock_sendmsg(ctx, &end);
	end_to4(ctx, &end);
	return rc;
}

int tw_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct tw_end end = {};
	int rc;

	end_from6(ctx, &end);
	rc = sock_sendmsg(ctx, &end);
	end_to6(ctx, &end);
	return rc;
}

int tw_recvmsg4(struct bpf_sock_addr *ctx)
{
	struct tw_end end = {};

	end_from4(ctx, &end);
	sock_recvmsg(ctx, &end);
	end_to4(ctx, &end);
	return 1;
}

int tw_recvmsg6(struct bpf_sock_addr *ctx)
{
	struct tw_end end = {};

	end_from6(ctx, &end);
	sock_recvmsg(ctx, &end);
	end_to6(ctx, &end);
	return 1;
}

int tw_getpeername4(struct bpf_sock_addr *ctx)
{
	struct tw_end end = {};

	end_from4(ctx, &end);
	sock_getpeername(ctx, &end);
	end_to4(ctx, &end);
	return 1;
}

int tw_getpeername6(struct bpf_sock_addr *ctx)
{
	struct tw_end end = {};

	end_from6(ctx, &end);
	sock_getpeername(ctx, &end);
	end_to6(ctx, &end);
	return 1;
}
