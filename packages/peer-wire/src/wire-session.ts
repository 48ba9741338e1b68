/**
 * One peer in one swarm, from its handshake on: frames in, PeerMessages out, and back. Decides who the peer is and
 * hands each message to the part that keeps its state. No socket: bytes leave through the egress it is given.
 */
import { BLOCK_LENGTH } from '@bootswarm/metainfo';
import { assert, Bitfield, ProtocolError, unreachable } from '@bootswarm/stdx';
import type { PeerIdentity } from '@bootswarm/swarm-proto';
import { ChatterBudget } from './chatter-budget.ts';
import { Downloads } from './downloads.ts';
import type { Egress } from './egress.ts';
import {
  EXTENSION_ID,
  type ExtendedHandshake,
  type OurExtensions,
  ourExtendedHandshake,
  parseExtendedHandshake,
  REQQ_DEFAULT,
} from './extended-handshake.ts';
import {
  decodeHaveBatch,
  decodePing,
  decodePriority,
  decodeRedirect,
  encodeHaveBatch,
  encodePing,
  HAVE_BATCH_MAX,
  type Ping,
} from './extension-messages.ts';
import { FramedWire } from './framed-wire.ts';
import type { Handshake } from './handshake.ts';
import { encodeHashAnswer, parseHashRequest } from './hash-request.ts';
import { LENGTH_BYTES, MESSAGE_ID, readUint32 } from './message-ids.ts';
import { MessageRules } from './message-rules.ts';
import type { PieceSource, WireMessage } from './peer-wire.ts';
import { Uploads } from './uploads.ts';
import type { WireLimits } from './wire-limits.ts';
import type { WireSwarm } from './wire-swarm.ts';

export interface WireSessionSink {
  onReady(identity: PeerIdentity): void;
  onMessage(message: WireMessage): void;
  /** Runs `task` after the current turn. */
  defer(task: () => void): void;
}

const BODY = LENGTH_BYTES + 1;
/** Frames that may come before a peer's extended handshake. One more, and it is taken for a peer without one. */
const HELD_FRAMES_MAX = 64;
/** The largest bitfield of 2^20 pieces and a few more. */
const HELD_BYTES_MAX = 160 * 1024;
/** A piece is redirected once, and again when its holder has failed the peer. */
const REDIRECTS_PER_PIECE = 2;

/** Who the peer is, and what depends on it. */
interface Peer {
  readonly ours: OurExtensions | undefined;
  readonly rules: MessageRules;
  readonly uploads: Uploads;
  readonly downloads: Downloads;
}

export class WireSession {
  readonly swarm: WireSwarm;
  readonly #limits: WireLimits;
  readonly #egress: Egress;
  readonly #sink: WireSessionSink;
  readonly #wire: FramedWire;
  readonly #chatter: ChatterBudget;
  #isHandshakeSent = false;
  #hasHandshake = false;
  /** Undefined until the peer is identified. */
  #peer: Peer | undefined;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #pingsUnanswered = 0;

  constructor(
    swarm: WireSwarm,
    limits: WireLimits,
    egress: Egress,
    nowMs: number,
    sink: WireSessionSink,
  ) {
    this.swarm = swarm;
    this.#limits = limits;
    this.#egress = egress;
    this.#sink = sink;
    this.#chatter = new ChatterBudget(nowMs);
    this.#wire = new FramedWire((chunk) => egress.push(chunk));
    egress.reserveForPiece(swarm.pieceLength);
    this.#wire.extendedHandshake = ourExtendedHandshake(swarm.self, limits.foreignRequestsMax);
    for (const [name, id] of Object.entries(EXTENSION_ID)) this.#wire.extendedMapping[id] = name;
    this.#listenToStates();
    this.#listenToRequests();
  }

  /** Whether the far end's 68 bytes have come. */
  get hasHandshake(): boolean {
    return this.#hasHandshake;
  }

  /** A dialer sends its handshake first; the other side when it has seen that. */
  sendHandshake(): void {
    this.#isHandshakeSent = true;
    this.#wire.handshake(this.swarm.infoHash, this.swarm.peerId, { fast: true });
  }

  /** Throws ProtocolError for another swarm, and for ourselves. */
  onHandshake(handshake: Handshake, nowMs: number): void {
    if (Buffer.compare(handshake.infoHash, this.swarm.infoHash) !== 0) {
      throw new ProtocolError('info-hash-unknown');
    }
    if (Buffer.compare(handshake.peerId, this.swarm.peerId) === 0) {
      throw new ProtocolError('self-connection');
    }
    this.#hasHandshake = true;
    this.#wire.receive(handshake.bytes);
    if (!this.#isHandshakeSent) this.sendHandshake();
    if (!handshake.hasExtended) this.identifyAsForeign(nowMs);
  }

  /** The peer has no extended handshake, or does not send it in time. */
  identifyAsForeign(nowMs: number): void {
    this.#identify({ client: '', reqq: REQQ_DEFAULT, ours: undefined }, nowMs);
  }

  /** Before memory is taken for a piece message. */
  admitPiece(pieceIndex: number, offset: number, length: number): Uint8Array {
    if (this.#peer === undefined) throw new ProtocolError('piece-unrequested', { pieceIndex });
    return this.#peer.downloads.admitPiece(pieceIndex, offset, length);
  }

  /** Whole and admitted: pieces go past the wire's decoder, which has nothing to add to them. */
  onPiece(pieceIndex: number, offset: number, payload: Uint8Array): void {
    assert(this.#peer !== undefined, 'a piece that was admitted');
    this.#peer.rules.onPiece();
    this.#peer.downloads.onPiece(pieceIndex, offset, payload);
  }

  onKeepAlive(nowMs: number): void {
    this.#chatter.spend(1, nowMs);
  }

  onFrame(frame: Uint8Array, nowMs: number): void {
    if (this.#peer !== undefined) {
      this.#handle(this.#peer, frame, nowMs);
      return;
    }
    if (frame[LENGTH_BYTES] === MESSAGE_ID.extended && frame[BODY] === 0) {
      this.#identify(parseExtendedHandshake(frame.subarray(BODY + 1)), nowMs);
      return;
    }
    // Copied: the frame may be a view on the socket's chunk, which would be held with it.
    this.#held.push(new Uint8Array(frame));
    this.#heldBytes += frame.length;
    if (this.#held.length > HELD_FRAMES_MAX || this.#heldBytes > HELD_BYTES_MAX) {
      this.identifyAsForeign(nowMs);
    }
  }

  sendKeepAlive(): void {
    this.#wire.keepAlive();
  }

  /** Never calls the sink within the call. */
  send(message: WireMessage): void {
    assert(this.#peer !== undefined, `send ${message.type} to a peer that is ready`);
    const { uploads, downloads } = this.#peer;
    switch (message.type) {
      case 'choke':
        return uploads.choke();
      case 'unchoke':
        return this.#wire.unchoke();
      case 'interested':
        return this.#wire.interested();
      case 'not-interested':
        return this.#wire.uninterested();
      case 'bitfield':
        return this.#wire.bitfield(message.bitfield.toBytes());
      case 'have-all':
        return this.#sendHaveAll();
      case 'have-none':
        // Without BEP 6 it is said by saying nothing.
        return this.#wire.hasFast ? this.#wire.haveNone() : undefined;
      case 'have':
        return this.#sendHave(message.pieceIndexes);
      case 'request':
        return downloads.request(
          message.pieceIndex,
          message.length,
          message.pieceClass,
          message.failedLease,
        );
      case 'priority':
        return downloads.setClass(message.pieceIndex, message.pieceClass);
      case 'cancel':
        return downloads.cancel(message.pieceIndex, message.length);
      case 'reject':
        return uploads.sendReject(message.pieceIndex, message.offset, message.length);
      case 'piece':
        return uploads.sendPiece(message.pieceIndex, message.offset, message.payload);
      case 'redirect':
        return uploads.sendRedirect(this.#ours(message.type).redirId, message);
      case 'ping':
      case 'pong':
      case 'busy':
        return this.#sendPing(message);
      default:
        return unreachable(message);
    }
  }

  /** False when the source cannot answer at once. */
  sendPiece(source: PieceSource, pieceIndex: number, offset: number, length: number): boolean {
    assert(this.#peer !== undefined, 'a piece for a peer that is ready');
    return this.#peer.uploads.sendFrom(source, pieceIndex, offset, length);
  }

  /** Decides who the peer is; then what it said before that is heard. */
  #identify(handshake: ExtendedHandshake, nowMs: number): void {
    const { client, reqq, ours } = handshake;
    if (ours === undefined && !this.swarm.foreignPeersAllowed) {
      throw new ProtocolError('foreign-peer-refused', { client });
    }
    if (ours !== undefined && !this.#wire.hasFast) {
      throw new ProtocolError('fast-not-negotiated', { node: ours.identity.node });
    }
    const blocksMax = Math.min(reqq, this.#limits.foreignBlocksMax);
    const peer = this.#makePeer(ours, blocksMax);
    this.#peer = peer;
    // In whole pieces, as the owner asks; one more than fits, so that the last block of a piece is not waited for.
    const requestsInFlightMax = Math.floor((blocksMax * BLOCK_LENGTH) / this.swarm.pieceLength) + 1;
    this.#sink.onReady(ours?.identity ?? { kind: 'foreign', client, requestsInFlightMax });
    const held = this.#held;
    this.#held = [];
    for (const frame of held) this.#handle(peer, frame, nowMs);
  }

  #makePeer(ours: OurExtensions | undefined, foreignBlocksMax: number): Peer {
    const isOurs = ours !== undefined;
    const shared = {
      wire: this.#wire,
      chatter: this.#chatter,
      deliver: (message: WireMessage) => this.#sink.onMessage(message),
    };
    return {
      ours,
      rules: new MessageRules(this.swarm, this.#wire.hasFast, isOurs, this.#chatter),
      uploads: new Uploads({
        ...shared,
        egress: this.#egress,
        swarm: this.swarm,
        isStrict: isOurs,
        requestsMax: isOurs ? this.#limits.receivedRequestsMax : this.#limits.foreignRequestsMax,
        redirectsMax: this.swarm.pieceCount * REDIRECTS_PER_PIECE,
      }),
      downloads: new Downloads(ours, {
        ...shared,
        swarm: this.swarm,
        foreignBlocksMax,
        deliverLater: (message) => this.#sink.defer(() => this.#sink.onMessage(message)),
      }),
    };
  }

  #handle(peer: Peer, frame: Uint8Array, nowMs: number): void {
    peer.rules.check(frame, nowMs);
    switch (frame[LENGTH_BYTES]) {
      case MESSAGE_ID.extended:
        this.#onExtended(peer, frame[BODY], frame.subarray(BODY + 1));
        return;
      case MESSAGE_ID.hashRequest:
        this.#answerHashRequest(frame);
        return;
      case MESSAGE_ID.request: {
        const range = [BODY, BODY + 4, BODY + 8].map((at) => readUint32(frame, at));
        const [pieceIndex, offset, length] = range;
        peer.uploads.onRequest(pieceIndex, offset, length, nowMs);
        return;
      }
      case MESSAGE_ID.bitfield:
        // The wire keeps it, and the frame may be a view on the chunk.
        this.#wire.receive(new Uint8Array(frame));
        return;
      case MESSAGE_ID.choke:
      case MESSAGE_ID.unchoke:
      case MESSAGE_ID.interested:
      case MESSAGE_ID.notInterested:
      case MESSAGE_ID.have:
      case MESSAGE_ID.cancel:
      case MESSAGE_ID.haveAll:
      case MESSAGE_ID.haveNone:
      case MESSAGE_ID.reject:
        this.#wire.receive(frame);
        return;
      // The rest was checked and is of no use to us: port, suggest, allowed fast, what we do not know.
    }
  }

  #onExtended(peer: Peer, extensionId: number, payload: Uint8Array): void {
    if (extensionId === 0) {
      // BEP 10 allows more of them; who the peer is stays as it was.
      parseExtendedHandshake(payload);
    } else if (peer.ours !== undefined) {
      this.#onOurs(peer, peer.ours.identity.isOrigin, extensionId, payload);
    }
  }

  #onOurs(peer: Peer, isOrigin: boolean, extensionId: number, payload: Uint8Array): void {
    const { pieceCount } = this.swarm;
    switch (extensionId) {
      case EXTENSION_ID.bs_have: {
        const pieceIndexes = decodeHaveBatch(payload, pieceCount);
        peer.rules.countHaves(pieceIndexes.length);
        this.#sink.onMessage({ type: 'have', pieceIndexes });
        return;
      }
      case EXTENSION_ID.bs_prio:
        return peer.uploads.onPriority(decodePriority(payload, pieceCount));
      case EXTENSION_ID.bs_redir:
        if (!isOrigin) throw new ProtocolError('redirect-not-by-origin');
        return peer.downloads.onRedirect(decodeRedirect(payload, pieceCount));
      case EXTENSION_ID.bs_ping:
        return this.#onPing(decodePing(payload));
    }
  }

  #onPing(ping: Ping): void {
    if (ping.type === 'pong') {
      if (this.#pingsUnanswered === 0) return;
      this.#pingsUnanswered -= 1;
    }
    this.#sink.onMessage(ping);
  }

  #answerHashRequest(frame: Uint8Array): void {
    this.#egress.push(encodeHashAnswer(frame, this.swarm.hashes(parseHashRequest(frame))));
  }

  /** A ping goes out as any control message does, before pieces that are queued; it lets the peer say a pong besides. */
  #sendPing(ping: Ping): void {
    this.#wire.extended(this.#ours(ping.type).pingId, encodePing(ping));
    if (ping.type !== 'ping') return;
    this.#pingsUnanswered += 1;
    this.#chatter.earn(1);
  }

  #ours(messageType: string): OurExtensions {
    const ours = this.#peer?.ours;
    assert(ours !== undefined, `send ${messageType} to a peer of ours`);
    return ours;
  }

  #sendHaveAll(): void {
    if (this.#wire.hasFast) this.#wire.haveAll();
    else this.#wire.bitfield(Bitfield.full(this.swarm.pieceCount).toBytes());
  }

  #sendHave(pieceIndexes: readonly number[]): void {
    const ours = this.#peer?.ours;
    if (ours === undefined) {
      for (const pieceIndex of pieceIndexes) this.#wire.have(pieceIndex);
      return;
    }
    for (let at = 0; at < pieceIndexes.length; at += HAVE_BATCH_MAX) {
      const batch = pieceIndexes.slice(at, at + HAVE_BATCH_MAX);
      this.#wire.extended(ours.haveId, encodeHaveBatch(batch));
    }
  }

  #listenToStates(): void {
    const deliver = (message: WireMessage) => this.#sink.onMessage(message);
    this.#wire.on('choke', () => {
      deliver({ type: 'choke' });
      this.#peer?.downloads.onChoke();
    });
    this.#wire.on('unchoke', () => deliver({ type: 'unchoke' }));
    this.#wire.on('interested', () => deliver({ type: 'interested' }));
    this.#wire.on('uninterested', () => deliver({ type: 'not-interested' }));
    this.#wire.on('bitfield', ({ buffer }) => {
      const bitfield = Bitfield.fromBytes(this.swarm.pieceCount, buffer);
      assert(bitfield !== undefined, 'a bitfield that message-rules.ts let pass');
      deliver({ type: 'bitfield', bitfield });
    });
    this.#wire.on('have', (pieceIndex) => deliver({ type: 'have', pieceIndexes: [pieceIndex] }));
    this.#wire.on('have-all', () => deliver({ type: 'have-all' }));
    this.#wire.on('have-none', () => deliver({ type: 'have-none' }));
  }

  #listenToRequests(): void {
    this.#wire.on('cancel', (...range) => this.#peer?.uploads.onCancel(...range));
    this.#wire.on('reject', (...range) => this.#peer?.downloads.onReject(...range));
  }
}
