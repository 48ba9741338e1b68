"""A libtorrent 2 peer for the tests: libtorrent-peer.py TORRENT DIRECTORY HOST:PORT seed|leech

Prints `ready` once it listens and, as a leecher, `complete` once it has everything. Ends with its standard input.
"""
import sys
import threading
import time

import libtorrent as lt

torrent, directory, address, role = sys.argv[1:]
host, port = address.rsplit(":", 1)
session = lt.session({
    "listen_interfaces": "127.0.0.1:0",
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "allow_multiple_connections_per_ip": True,
    "in_enc_policy": 2,
    "out_enc_policy": 2,
    "alert_mask": lt.alert.category_t.all_categories,
})
info = lt.torrent_info(torrent)
assert info.info_hashes().has_v2() and not info.info_hashes().has_v1()
params = lt.add_torrent_params()
params.ti = info
params.save_path = directory
handle = session.add_torrent(params)
while handle.status().state in (lt.torrent_status.checking_files, lt.torrent_status.checking_resume_data):
    time.sleep(0.05)
assert handle.status().is_seeding == (role == "seed"), handle.status().state
handle.connect_peer((host, int(port)))
print("ready", flush=True)


def report():
    said = False
    while True:
        for alert in session.pop_alerts():
            if "peer" in alert.what() or "error" in alert.what():
                print(alert.what(), alert.message(), file=sys.stderr, flush=True)
        if role == "leech" and not said and handle.status().is_seeding:
            said = True
            print("complete", flush=True)
        time.sleep(0.05)


threading.Thread(target=report, daemon=True).start()
sys.stdin.read()
