from twinway_bpf import features, libbpf
for n in ('bits','has_set_retval','has_redirect_peer','has_redirect_neigh','has_netns_cookie','has_getpeername','has_socket_storage','has_tcx','has_cgroup_links','may_load'):
    try: print(n, getattr(features,n)())
    except Exception as e: print(n, repr(e))
code = features._insn(0x85,0,0,187)+features._RETURN_ONE
try: print(libbpf.prog_load(18,10,"x",code,log_size=65536))
except OSError as e: print(e.args)
