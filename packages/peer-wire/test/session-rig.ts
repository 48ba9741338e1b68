/** A guard, a session and an egress joined as a connection joins them, without a socket: bytes in, messages and bytes out. */
import { ProtocolError } from '@bootswarm/stdx';
import type { PeerIdentity } from '@bootswarm/swarm-proto';
import { Egress } from '../src/egress.ts';
import { FramingGuard } from '../src/framing-guard.ts';
import type { WireMessage, WireSwarm } from '../src/index.ts';
import { WIRE_LIMITS, type WireLimits } from '../src/wire-limits.ts';
import { WireSession } from '../src/wire-session.ts';
import { frame, handshake, makeSwarm, toHex } from './messages.ts';

export interface SessionRigOptions {
  readonly swarm?: WireSwarm;
  readonly limits?: Partial<WireLimits>;
  readonly onMessage?: (message: WireMessage) => void;
}

export class SessionRig {
  readonly session: WireSession;
  readonly guard: FramingGuard;
  readonly egress: Egress;
  readonly identities: PeerIdentity[] = [];
  messages: WireMessage[] = [];
  closeCode: string | undefined;
  nowMs = 0;
  #tasks: (() => void)[] = [];
  #sent: Uint8Array[] = [];

  constructor(options: SessionRigOptions = {}) {
    const swarm = options.swarm ?? makeSwarm();
    const limits = { ...WIRE_LIMITS, ...options.limits };
    this.egress = new Egress(limits, {
      write: (chunks, written) => {
        this.#sent.push(...chunks);
        this.#tasks.push(written);
      },
      defer: (task) => this.#tasks.push(task),
      onDrain: () => {},
      onOverflow: () => {
        this.closeCode ??= 'egress-overflow';
      },
    });
    this.session = new WireSession(swarm, limits, this.egress, 0, {
      onReady: (identity) => this.identities.push(identity),
      onMessage: (message) => {
        this.messages.push(message);
        options.onMessage?.(message);
      },
      defer: (task) => this.#tasks.push(task),
    });
    this.guard = new FramingGuard({
      onHandshake: (handshake) => {
        this.session.onHandshake(handshake, this.nowMs);
        return swarm;
      },
      onKeepAlive: () => this.session.onKeepAlive(this.nowMs),
      admitPiece: (...range) => this.session.admitPiece(...range),
      onPiece: (...piece) => this.session.onPiece(...piece),
      onFrame: (frame) => this.session.onFrame(frame, this.nowMs),
    });
  }

  /** A ProtocolError becomes closeCode; anything else is a mistake of ours and goes on to fail the test. */
  receive(...chunks: readonly Uint8Array[]): this {
    for (const chunk of chunks) {
      if (this.closeCode !== undefined) return this;
      const borrowed = new Uint8Array(chunk);
      try {
        this.guard.push(borrowed);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        this.closeCode = error.code;
      }
      // As a socket's buffer is, which the next bytes are read into.
      borrowed.fill(0xee);
    }
    return this;
  }

  /** Runs what was put off until nothing is. */
  settle(): this {
    for (let task = this.#tasks.shift(); task !== undefined; task = this.#tasks.shift()) task();
    return this;
  }

  /** What has been written since the last call, as hex. */
  takeSent(): string {
    this.settle();
    const sent = toHex(...this.#sent);
    this.#sent = [];
    return sent;
  }

  takeMessages(): WireMessage[] {
    const messages = this.messages;
    this.messages = [];
    return messages;
  }
}

/** A rig with a peer that unchoked us and is unchoked. */
export function readyRig(hello: Uint8Array, reserved?: string): SessionRig {
  const rig = new SessionRig().receive(handshake({ reserved }), hello);
  rig.session.send({ type: 'unchoke' });
  rig.receive(frame(1));
  rig.takeSent();
  rig.takeMessages();
  return rig;
}
