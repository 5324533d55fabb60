/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The socket path. The address of a Service is replaced by that of a backend once, when a socket connects or
 * when an unconnected socket sends. The original address is returned when a process asks for its peer.
 *
 * A v6 socket may use IPv4. Its mapped addresses need no special case, because keys always have 16 bytes.
 * The backend of a socket is stored on the socket, and so ends with it.
 */
#include "sk_connect.h"
#include "sk_datagram.h"
#include "tw_features.h"

#define EADDRINUSE 98
#define EADDRNOTAVAIL 99
#define ENOBUFS 105
#define ETIMEDOUT 110
#define ECONNREFUSED 111

/* Since 5.18; the stub headers do not have its number. Source: b44123b4a3dc ("bpf: Add cgroup helpers"). */
static int (*set_retval)(int) = (void *)187;

/*
 * The one exit. The call fails with `taken` if its answers could not be distinguished from those of another
 * socket, and as with a closed port if a Service rejects it. A hook can neither lose a datagram nor wait, so
 * where packets would be dropped the call fails at once, with the error that ends such a connect. Kernels
 * without set_retval can only fail it with EPERM.
 */
static __always_inline int sock_finish(int reason, int taken)
{
	if (!reason)
		return 1;
	verdict_count(reason);
	if (reason < TW_FIRST_ANSWERED)
		return 1;
	if (features() & TW_HAS_SET_RETVAL) {
		if (reason == TW_REJECT_TAKEN)
			set_retval(-taken);
		else if (reason == TW_REJECT_NO_ROOM)
			set_retval(-ENOBUFS);
		else if (reason == TW_DROP_NOT_LOCAL)
			set_retval(-ETIMEDOUT);
		else
			set_retval(-ECONNREFUSED);
	}
	return 0;
}

int tw_connect4(struct bpf_sock_addr *ctx)
{
	struct tw_end end = {};
	int rc;

	end_from4(ctx, &end);
	rc = sock_connect(ctx, &end);
	end_to4(ctx, &end);
	return sock_finish(rc, EADDRNOTAVAIL);
}

int tw_connect6(struct bpf_sock_addr *ctx)
{
	struct tw_end end = {};
	int rc;

	end_from6(ctx, &end);
	rc = sock_connect(ctx, &end);
	end_to6(ctx, &end);
	return sock_finish(rc, EADDRNOTAVAIL);
}

int tw_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct tw_end end = {};
	int rc;

	end_from4(ctx, &end);
	rc = sock_sendmsg(ctx, &end);
	end_to4(ctx, &end);
	return sock_finish(rc, EADDRINUSE);
}

int tw_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct tw_end end = {};
	int rc;

	end_from6(ctx, &end);
	rc = sock_sendmsg(ctx, &end);
	end_to6(ctx, &end);
	return sock_finish(rc, EADDRINUSE);
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
