/** All that an agent is started with. */
import type { Credentials, GlanceClient } from '@bootswarm/openstack';
import type { Accelerator } from '@bootswarm/qemu';
import type { Supervision } from './api.ts';
import type { FillMode } from './fill-policy.ts';
import type { FuseOptions } from './fuse/serve-fuse.ts';
import type { GlanceProxyAddress } from './glance-proxy/serve-glance.ts';
import type { InheritedSockets } from './holder/inherited-sockets.ts';
import type { KnownImages } from './known-images.ts';
import type { NbdTcpOptions } from './nbd/guest-listeners.ts';
import type { MetricsAddress } from './telemetry/metrics-listener.ts';

export interface AgentOptions {
  /** http(s)://HOST:PORT */
  readonly trackerUrl: string;
  readonly cacheDir: string;
  /** Sockets and agent.json; made anew at every start. */
  readonly runDir: string;
  /** Overlays of VMs; default: in the cache directory. */
  readonly vmDir?: string;
  /** Unique in the cloud. */
  readonly node: string;
  readonly zone: string;
  readonly rack: string;
  /** Where peers dial us; port 0 lets the system choose. */
  readonly listen: { readonly host: string; readonly port: number };
  /** Listening sockets that a socket holder or systemd keeps: used in place of RUN/nbd.sock and `listen`. */
  readonly sockets?: InheritedSockets;
  /** Guests may be waiting: what is wrong with `nbdTcp` keeps nobody else from being served, and is tried again. */
  readonly isRestart?: boolean;
  /** Images of the cache that were checked ahead. */
  readonly known?: KnownImages;
  /** Has somebody ready to start an agent when this one ends; none: nobody would. */
  readonly prepareSuccessor?: () => Promise<void>;
  /** The host that peers are told to dial; default: where we listen, or what the tracker sees when that is a wildcard. */
  readonly advertise?: string;
  readonly fill: FillMode;
  /** Whether swarms are joined before a guest of this node wants their image, where the publisher wishes it. */
  readonly prejoin: boolean;
  /** Memory for hot pieces, per image. */
  readonly hotBytes: number;
  /** How fast the cache is searched for rot; 0: not at all. */
  readonly scrubBytesPerSecond: number;
  /** What all images may take of the disk; default: as much as there is. */
  readonly cacheBytesMax?: number;
  /** Whether images in use may lose pieces when nothing else is left to evict. */
  readonly evictRunning?: boolean;
  /** Memory for replies to NBD clients that wait. */
  readonly nbdReplyBytes: number;
  /** Where NBD clients of other hosts may connect; default: nowhere. */
  readonly nbdTcp?: NbdTcpOptions;
  /** Where callers on this host may ask for images as they ask Glance; default: nowhere. */
  readonly glanceProxy?: GlanceProxyAddress;
  /** This node's own, by which the tracker shows it images that are not for everybody; default: none. */
  readonly openstackCredentials?: Credentials;
  /** Images as files of a directory; default: not. */
  readonly fuse?: FuseOptions;
  /** Whether BitTorrent clients that are not agents may take pieces from us and give us some. */
  readonly foreignPeers: boolean;
  /** Whether VMs are moved to the local file by themselves when their image is complete. */
  readonly pivot: boolean;
  /** Hex of the Ed25519 key that metainfo must be signed with; default: the first one seen. */
  readonly publisherKey?: string;
  /** Of the QEMU commands that are handed out, in order of preference; default: KVM, or TCG where there is none. */
  readonly accelerators?: readonly Accelerator[];
  /** Where /metrics is served on TCP; default: on the control socket only. */
  readonly metrics?: MetricsAddress;
  /** How this agent is kept running; default: by nobody. */
  readonly supervision?: () => Supervision;
  /** The only directory in which copies are made for others; default: none are. */
  readonly copiesDirectory?: string;
  /** From where they may copy `glance:`; default: from no Glance. */
  readonly copiesGlance?: GlanceClient;
  readonly logLevel: string;
}
