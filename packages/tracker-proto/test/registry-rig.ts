/** A registry that knows one image, with a step for each kind of input that gives back the effects of it. */
import type {
  AgentMessage,
  Member,
  NodeIdentity,
  RegistryEffect,
  RegistryInput,
  RegistryLimits,
} from '../src/index.ts';
import { LIMITS, SIGNALLING_VERSION, SwarmRegistry } from '../src/index.ts';

export const KEY = 'ab'.repeat(32);
export const PIECE_COUNT = 20_000;
export const IMAGE = '1'.repeat(40);

export const identityOf = (node: string, port = 6881, zone = 'z1'): NodeIdentity => ({
  node,
  zone,
  rack: 'r1',
  address: { host: '10.0.0.1', port },
});
export const memberOf = (node: string, place: number, port = 6881, zone = 'z1'): Member => ({
  ...identityOf(node, port, zone),
  place,
});
export const helloOf = (node: string, port = 6881, zone = 'z1'): AgentMessage => ({
  type: 'hello',
  version: SIGNALLING_VERSION,
  ...identityOf(node, port, zone),
});
export const join: AgentMessage = { type: 'join', image: IMAGE, piecesHad: 0 };

export class RegistryRig {
  readonly registry: SwarmRegistry;

  constructor(limits: Partial<RegistryLimits> = {}) {
    this.registry = new SwarmRegistry(KEY, { ...LIMITS, ...limits });
    this.feed(
      {
        type: 'image-published',
        image: IMAGE,
        pieceCount: PIECE_COUNT,
        kinds: [],
        isPrejoined: false,
      },
      0,
    );
  }

  feed(input: RegistryInput, now: number): RegistryEffect[] {
    this.registry.handle(input, now);
    const effects: RegistryEffect[] = [];
    const poll = () => this.registry.poll();
    for (let next = poll(); next !== undefined; next = poll()) effects.push(next);
    return effects;
  }

  connect(connection: number, now = 0): RegistryEffect[] {
    return this.feed({ type: 'agent-connected', connection, remoteHost: '10.0.0.99' }, now);
  }

  say(connection: number, message: AgentMessage, now = 0): RegistryEffect[] {
    return this.feed({ type: 'message', connection, message }, now);
  }

  disconnect(connection: number, now = 0): RegistryEffect[] {
    return this.feed({ type: 'agent-disconnected', connection }, now);
  }

  wake(now: number): RegistryEffect[] {
    return this.feed({ type: 'wake' }, now);
  }

  /** A connection that said hello. */
  greet(connection: number, node: string, now = 0, zone = 'z1'): void {
    this.connect(connection, now);
    this.say(connection, helloOf(node, 6881, zone), now);
  }
}
