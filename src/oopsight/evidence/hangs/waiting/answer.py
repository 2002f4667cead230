"""File systems whose files are elsewhere: they wait until a server answers."""

from __future__ import annotations

from oopsight.evidence.hangs.waiting import Lock
from oopsight.evidence.hangs.waiting.scan import Scan

# The functions in which a client waits for the answer to a request, and whose answer it is.
_SERVERS = {
    "request_wait_answer": "the FUSE server",
    "fuse_simple_request": "the FUSE server",
    "__fuse_simple_request": "the FUSE server",
    "rpc_wait_bit_killable": "the NFS server",
    "rpc_wait_for_completion_task": "the NFS server",
    "__rpc_wait_for_completion_task": "the NFS server",
    "__rpc_execute": "the NFS server",
    "rpc_execute": "the NFS server",
    "nfs_wait_bit_killable": "the NFS server",
    "compound_send_recv": "the SMB server",
    "wait_for_response": "the SMB server",
    "ceph_mdsc_wait_request": "the Ceph cluster",
    "ceph_osdc_wait_request": "the Ceph cluster",
    "p9_client_rpc": "the 9P server",
    "p9_virtio_request": "the 9P server",
}
FUNCTIONS = tuple(_SERVERS)


def find(scan: Scan) -> Lock | None:
    """Whose answer is waited for, by the function that waits."""
    call = scan.stack.inside(*FUNCTIONS)
    if call is None:
        return None
    return Lock("answer", None, f"of {_SERVERS[call.function.partition('.')[0]]}")
