/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every struct, enum and limit that C and Python share. layout.py mirrors this file field for
 * field, and a test proves it. Addresses are always 16 bytes in network order (IPv4 mapped into
 * ::ffff:0:0/96), ports always network order.
 */
#ifndef TW_TYPES_H
#define TW_TYPES_H

#include <linux/types.h>

/* Where the clients of a frontend are: in the cluster, or outside. */
enum tw_scope {
	TW_SCOPE_INTERNAL = 0,
	TW_SCOPE_EXTERNAL = 1,
};

/* The pod's side of a connection, as the API says ingress and egress. */
enum tw_direction {
	TW_INGRESS = 0,
	TW_EGRESS = 1,
};

/* One end of a connection. Port of an ICMP echo: its identifier; of what has no ports: 0. */
struct tw_end {
	__be32 addr[4];
	__be16 port;
	__u16 pad;
};

/* Key of tw_fe. Port 0 with proto 0 stands for the address itself: "some Service lives here". */
struct tw_fe_key {
	__be32 addr[4];
	__be16 port;
	__u8 proto; /* IANA number */
	__u8 scope; /* enum tw_scope */
};

enum tw_fe_flag {
	TW_FE_DROPS = 1, /* without slots: drop in silence, because other nodes have backends */
};

struct tw_fe {
	__u64 set;   /* backend set id; 0: none */
	__u32 count; /* slots in the set; 0: reject, or drop */
	__u32 flags; /* enum tw_fe_flag */
};

struct tw_slot_key {
	__u64 set;
	__u32 slot; /* 0 … count-1 */
	__u32 pad;
};

struct tw_be {
	__be32 addr[4];
	__be16 port;
	__u8 proto;
	__u8 pad[5];
};

/* What an address of this node stands for. */
enum tw_ep_kind {
	TW_EP_POD = 1,
	TW_EP_NODE = 2,
};

#define TW_DENY_ALL 1 /* the policy set without entries, under which everything is denied */

struct tw_addr {
	__be32 addr[4];
};

struct tw_ep {
	__u64 policy;  /* policy set id; 0: no policy selects this pod */
	__u32 ifindex; /* host-side device that leads into the pod; 0: none (hooks are in the pod) */
	__u8 kind;     /* enum tw_ep_kind */
	__u8 gen;      /* which id of tw_class this pod's policy set speaks of: 0 or 1 */
	__u8 mac[6];   /* the pod's own, as the host side or a pod beside it must address it */
	__u8 host_mac[6]; /* the host side's own, or the node's on the pod's parent */
	__u16 pad;
	__u32 stamp; /* what a packet from this pod bears where hooks are in the pod; 0: nothing */
	__s32 netns; /* its namespace, as that of its hooks numbers it; below 0: it is the same */
	__u32 pad2;
};

/* LPM key: prefixlen counts from addr, so a v4 prefix /n is 96 + n. */
struct tw_class_key {
	__u32 prefixlen;
	__be32 addr[4];
};

/* Two generations of class ids: a change of policy fills the idle one before pods switch to it. */
struct tw_class {
	__u64 id[2];
};

/* Order matters: an LPM key whose prefix ends inside `port`, after everything that must be equal. */
struct tw_verdict_key {
	__u32 prefixlen;
	__u8 direction; /* enum tw_direction */
	__u8 proto;	/* TCP, UDP or SCTP; 0: any other */
	__u16 pad;
	__u64 set;
	__u64 class_id;
	__be16 port;
	__u8 tail[6];
};

enum tw_action {
	TW_ALLOW = 1,
	TW_DENY = 2,
};

struct tw_verdict {
	__u64 rule;
	__u32 action; /* enum tw_action */
	__u32 pad;
};

/*
 * One connection. A *record* is keyed by both real ends (client, backend) and serves both
 * directions; an *alias* is keyed by what the client wrote (client, Service) and leads to the
 * record. Ends are in byte order of (addr, port), so that both directions make the same key.
 */
struct tw_ct_key {
	struct tw_end end[2];
	__u8 proto;
	__u8 written; /* 1: of an alias for a backend by its own name, whose record has this key, too */
	__u8 pad[2];
};

enum tw_ct_flag {
	TW_CT_ALIAS = 1, /* names the record's ends; else, with TW_CT_NAT, what the client wrote */
	TW_CT_NAT = 2,	 /* of a record: replies are given back the ends that the client wrote */
	TW_CT_FIRST = 4, /* the initiator is end 0 of the key, else end 1; of aliases, too */
	TW_CT_HAIRPIN = 8, /* a pod that was given itself: delivered back to it */
	TW_CT_REPLIED = 16,
	TW_CT_CLOSING = 32,   /* a FIN was seen: from then on, half closed at least */
	TW_CT_FIN_FIRST = 64, /* the last FIN was end 0's of the key, else end 1's */
	TW_CT_FIN_BOTH = 128, /* it acknowledged the other end's */
	TW_CT_ASSURED = 256,  /* the initiator went on after an answer; of aliases, too */
	TW_CT_RESET =
		512, /* the last segment was a RST: nobody knows whether its receiver obeyed */
};

/* Both ends are those of the other entry; a record without TW_CT_NAT has none, and leaves them zero. */
struct tw_ct {
	struct tw_end client; /* the initiator's */
	struct tw_end peer;   /* the Service's in a record, the backend's in an alias */
	__u64 backend;	      /* backend id; 0: no Service */
	__u32 seen;  /* time of the last packet, in units of 2^30 ns of the monotonic clock */
	__u32 rev;   /* policy revision that it was judged under */
	__u32 fin;   /* of a record: what acknowledges the last FIN, host order; 0: none was seen */
	__u32 slot;  /* what it holds of its pod's share (share.h); 0: nothing */
	__u16 flags; /* enum tw_ct_flag */
	__u16 pad[3];
};

#define TW_SHARE_WAYS 8
#define TW_SHARE_RECEIVED 0x40000000 /* in numbers of windows and slots: of what others began */
#define TW_SLOT_TAKEN 0x80000000     /* in every slot */

/* One window of a pod's share of a table. */
struct tw_share_key {
	__be32 addr[4]; /* the pod's */
	__u32 window;	/* its number, and TW_SHARE_RECEIVED */
};

struct tw_share {
	__u32 used; /* of window 0: ways in use beyond its own */
	__u32 full; /* of window 0: when the whole table was last full, as tw_ct.seen, + 1; 0: never */
	__u32 growth; /* of window 0: entries to come that take a way never used, without looking for another */
	struct tw_ct_key way[TW_SHARE_WAYS]; /* all zero: empty */
};

/* The address that a device was last seen to send from: of tw_source. */
struct tw_source {
	__be32 addr[4];
	__u32 ifindex;
	__u32 stamp;  /* as tw_ep.stamp, of a device in a pod's namespace */
	__u32 places; /* tw_cfg.places + 1; 0: nothing */
	__u32 pad;
};

/* Flags of tw_cfg. */
enum tw_cfg_flag {
	TW_CFG_PODS_AT_SOCKET = 1,   /* pods' own sockets are served; else the host's alone */
	TW_CFG_POLICY_AT_SOCKET = 2, /* some pod is under a policy: who connects by TCP is noted */
	TW_CFG_INITIATORS_KNOWN =
		4, /* for the agent: tw_initiator has the sockets that connected before */
};

/* Keys of tw_limit. */
enum tw_limit {
	TW_LIMIT_CT = 0,
	TW_LIMIT_UDP = 1,
};

/* Settings of the programs. Only the agent writes them. */
struct tw_cfg {
	__u64 host_netns; /* netns cookie of the host's own sockets */
	__u32 flags;	  /* enum tw_cfg_flag */
	__u32 rev; /* policy revision: grows when an established connection may be judged otherwise */
	__u32 places; /* grows when an address leaves the pod or the device that had it */
	__u32 probe; /* what the frame bears that the agent waits for (probe.h); 0: it waits for none */
};

/* The one entry of tw_notes: what programs report to the agent. Only programs write it. */
struct tw_notes {
	__u64 probe_netns; /* netns cookie of the socket that last asked the probe's address */
	__u32 probes;	   /* how often a socket hook has answered a probe */
	__u32 cookie; /* when a pod under policy last sent a SYN cookie, as tw_ct.seen; 0: never */
};

/*
 * What a socket was given when it connected: of tw_sk. All zero: nothing. That a TCP socket has it
 * says that it connected; where policy is, one that has not was accepted, or is older.
 */
struct tw_sk {
	struct tw_end vip; /* what the program wrote */
	struct tw_end to;  /* what it was given */
	__u64 backend;
	__u32 begun; /* TCP: not 0 if policy, when it last looked, let its connection begin */
	__u32 pad;
};

/*
 * What policy says of a TCP socket's connection: of tw_skpol. `verdict` is one word, so that whoever
 * reads it reads one judgement, whichever processors judge at the same time.
 */
struct tw_skpol {
	__u64 verdict; /* rev + 1 | enum tw_action << 32; 0: nothing */
	__u64 rule;    /* that denied, if one did */
};

enum tw_udp_flag {
	TW_UDP_SENT = 1,     /* the pod spoke first: answers pass */
	TW_UDP_RECEIVED = 2, /* the peer did */
};

/*
 * Two ends that exchange packets although one direction is denied to beginners. Its key is a
 * tw_ct_key whose end 0 is the pod's; with PROTO_FRAGMENT, ports are the halves of a datagram's
 * identification.
 */
struct tw_udp {
	__u32 seen; /* as tw_ct.seen */
	__u8 flags; /* enum tw_udp_flag */
	__u8 answered;
	__u8 pad[2];
	__u32 slot; /* as tw_ct.slot */
};

/* Whose denials are counted: of tw_denied. */
struct tw_denied_key {
	__u64 rule; /* 0: none, the set has no answer (yet) */
	__be32 pod
		[4]; /* its address, or its device's key if a packet had none of the pod's (device.h) */
	__u8 direction; /* enum tw_direction, as the pod sees it */
	__u8 pad[7];
};

/* An address that an unconnected UDP socket asked, and by which name. */
struct tw_peer {
	struct tw_end vip; /* a Service's port, or `to` itself */
	struct tw_end to;
	__u64 backend; /* id; 0: it was asked by its own name */
	__u32 asked;   /* when last, as tw_ct.seen; 0: this is nobody */
	__u32 waiting; /* how many answers have not been read */
};

/* All that an unconnected UDP socket knows of those it asked: of tw_skpeer. see sk_names.h. */
#define TW_PEERS 64 /* a power of two: 2^26 in peer_hash() */
struct tw_peers {
	struct tw_peer peer[TW_PEERS]; /* by hash of `to` */
	__u8 place[TW_PEERS];	       /* by hash of a Service: where its peer is, + 1 */
};

#endif
