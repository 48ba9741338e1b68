"""What seeds a disk to the torrent plugins of bench boot.

libtorrent-seeder.py TORRENT DISK: writes the metainfo of DISK, in pieces as long as ours, which is what suits reads on demand.
libtorrent-seeder.py TORRENT DISK ADDRESS HOST:PORT...: seeds it on ADDRESS to those peers, which it dials until each is connected,
as the plugin can be told of no peer.
"""
import os
import sys
import time

import libtorrent as lt

PIECE_LENGTH = 65_536

torrent, disk, *rest = sys.argv[1:]
directory = os.path.dirname(disk)
if not rest:
    files = lt.file_storage()
    lt.add_files(files, disk)
    creator = lt.create_torrent(files, PIECE_LENGTH, flags=lt.create_torrent.v1_only)
    lt.set_piece_hashes(creator, directory)
    with open(torrent, "wb") as file:
        file.write(lt.bencode(creator.generate()))
    sys.exit()

address, *peers = rest
session = lt.session({
    "listen_interfaces": f"{address}:7000",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    # Its uTP gives way to the queue of a shaped link; TCP does not.
    "enable_outgoing_utp": False,
    "unchoke_slots_limit": -1,
    "alert_mask": 0,
})
params = lt.add_torrent_params()
params.ti = lt.torrent_info(torrent)
params.save_path = directory
params.flags |= lt.torrent_flags.seed_mode
handle = session.add_torrent(params)
while True:
    known = {f"{ip}:{port}" for ip, port in (peer.ip for peer in handle.get_peer_info())}
    for peer in peers:
        if peer not in known:
            host, port = peer.rsplit(":", 1)
            handle.connect_peer((host, int(port)))
    time.sleep(0.5)
