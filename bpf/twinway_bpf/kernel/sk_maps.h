/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Storage on sockets, which ends with them. */
#ifndef TW_SK_MAPS_H
#define TW_SK_MAPS_H

#include "net.h"
#include "tw_types.h"

/* socket -> what connect() was given. Written by sock.c and guard.c, read by all. Missing: nothing. */
BPF_SK_STORAGE(tw_sk_v2, struct tw_sk);

/* unconnected UDP socket -> the peers that it asked. Written and read by sock.c. Missing: no Service. */
BPF_SK_STORAGE(tw_skpeer_v3, struct tw_peers);

/* socket -> the verdict on its connection. Written and read by skb.c and guard.c. Missing or old: it is judged. */
BPF_SK_STORAGE(tw_skpol_v3, struct tw_skpol);

#endif
