# What docs/operators-guide.md has an operator do, as root, with the tracker and a node on one machine. The image is /srv/out/disk.raw;
# each step that went well says so on standard output.
set -eu
cd /usr/local/lib/node_modules/bootswarm/systemd
install -D -m 0644 bootswarm.sysusers /usr/lib/sysusers.d/bootswarm.conf && systemd-sysusers
install -D -m 0644 tracker.yaml /etc/bootswarm/tracker.yaml
install -D -m 0644 agent.yaml /etc/bootswarm/agent.yaml
install -m 0644 bootswarm-tracker.service bootswarm-agent.service bootswarm-agent.socket /etc/systemd/system/
systemctl daemon-reload
systemctl enable --now bootswarm-tracker
systemctl enable --now bootswarm-agent.socket bootswarm-agent

trap 'journalctl --no-pager -u bootswarm-tracker -u bootswarm-agent >&2' EXIT
ready() { for i in $(seq 200); do bootswarm status --json 2>/dev/null | grep -q '"isConnected": true' && return; sleep 0.1; done; return 1; }
pid() { systemctl show --property MainPID --value bootswarm-agent; }
copied() { rm -f /srv/out/copy.raw; bootswarm copy swarm:a /srv/out/copy.raw >/dev/null 2>&1; cmp /srv/out/copy.raw /srv/out/disk.raw; echo "$1"; }

ready
bootswarm publish /srv/out/disk.raw --name a >/dev/null 2>&1
copied copied
tr '\0' '\n' </proc/"$(pid)"/environ | grep -E '^(NODE_OPTIONS|MALLOC_)' | sort
grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/"$(pid)"/status | tr -s '\t ' ' '
old=$(pid); bootswarm agent upgrade >/dev/null; ready; test "$old" != "$(pid)"; copied upgraded
systemctl kill --kill-whom=main --signal=KILL bootswarm-agent; sleep 0.3; ready; copied killed

echo 'BOOTSWARM_AGENT_OPTIONS=--advertise 0.0.0.0' >/etc/bootswarm/agent.env; systemctl restart bootswarm-agent
for i in $(seq 100); do systemctl show --property SubState --value bootswarm-agent | grep -q stop-post && echo 'waits' && break; sleep 0.1; done
rm /etc/bootswarm/agent.env; systemctl restart bootswarm-agent; ready; copied 'mended'

systemctl kill --kill-whom=main --signal=KILL bootswarm-tracker; sleep 1.5; ready
bootswarm nodes >/dev/null; echo 'tracker again'

mkdir -p /var/lib/nova/instances
printf 'fuse: /var/lib/bootswarm/images\nnova-instances: /var/lib/nova/instances\n' >>/etc/bootswarm/agent.yaml
install -D -m 0644 bootswarm-agent-fuse.conf /etc/systemd/system/bootswarm-agent.service.d/fuse.conf
systemctl daemon-reload; systemctl restart bootswarm-agent; ready
for i in $(seq 100); do test -e /var/lib/bootswarm/images/*.raw && break; sleep 0.1; done
setpriv --reuid nobody --regid nogroup --clear-groups cmp /var/lib/bootswarm/images/*.raw /srv/out/disk.raw
setpriv --reuid nobody --regid nogroup --clear-groups ls /var/lib/nova/instances/_base
echo 'as files'

systemctl disable --now bootswarm-agent bootswarm-agent.socket bootswarm-tracker 2>/dev/null
! grep /var/lib/bootswarm/images /proc/mounts
! pgrep -f 'bootswarm (agent|tracker)|origin/main.js'
trap - EXIT
echo gone
