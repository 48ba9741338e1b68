/** What travels on the simulated network: peers' messages, signalling and HTTP, each stream carrying one kind. */
import type { PeerIdentity, PeerMessage } from '@bootswarm/swarm-proto';
import type { AgentMessage, TrackerMessage } from '@bootswarm/tracker-proto';

/** What a piece carries: whether its bytes are the image's. */
export type SimPayload = 'good' | 'bad';

/** The image's own, and the one that carries its piece layer. */
export type SimSwarm = 'image' | 'layer';

/** A wire's first message is who the peer is and which swarm it means, as its handshakes tell. */
export type WireMessage =
  | PeerMessage<SimPayload>
  | { readonly type: 'handshake'; readonly identity: PeerIdentity; readonly swarm: SimSwarm };

/** A request over HTTP names how long its answer is. */
export type HttpMessage =
  | { readonly type: 'get'; readonly bytes: number }
  | { readonly type: 'file' };

export type SignalMessage = AgentMessage | TrackerMessage;

/** A range of the image, asked for or sent: what iSCSI, NBD and HTTP have in common. */
export interface BlockMessage {
  readonly type: 'block';
  /** Joins the answer to what was asked. */
  readonly tag: number;
  readonly offset: number;
  readonly length: number;
}

export type SimMessage = WireMessage | SignalMessage | HttpMessage | BlockMessage;
