/**
 * An agent of the simulator: one process on one host, with an engine for the image and one for its piece layer. Joins as
 * ImageLibrary does: metainfo from the tracker, membership, the layer from its swarm, and only then the image's swarm.
 * Guests that read before that wait.
 */
import { Bitfield, type Random } from '@bootswarm/stdx';
import type { SwarmLimits, SwarmMember, SwarmShape } from '@bootswarm/swarm-proto';
import type { TraceRead } from './boot-trace.ts';
import type { Guest, GuestDisk } from './guest.ts';
import type { ImageContent } from './image-content.ts';
import type { Host, Network, StreamEnd } from './network.ts';
import { Cpu, type SimCosts } from './sim-costs.ts';
import type { SimMessage, SimPayload } from './sim-message.ts';
import { type NodeChecker, SimNode } from './sim-node.ts';
import { SimSignal } from './sim-tracker.ts';
import { SwarmPort } from './swarm-port.ts';
import type { VirtualClock } from './virtual-clock.ts';

export interface SimAgentOptions {
  readonly clock: VirtualClock;
  readonly network: Network<SimMessage>;
  readonly host: Host;
  readonly isOrigin: boolean;
  readonly shape: SwarmShape;
  /** Pieces of the image that this host has, once it knows the layer. */
  readonly have: Bitfield;
  readonly content: ImageContent;
  /** Where the piece layer comes from: its swarm, or the tracker as if there were none. */
  readonly layerFrom: 'swarm' | 'tracker';
  /** 40 hex digits. */
  readonly image: string;
  readonly random: Random;
  readonly costs: SimCosts;
  readonly limits?: Partial<SwarmLimits>;
  readonly isPoisoner: boolean;
  readonly checker: NodeChecker;
}

type Origins = readonly { readonly host: string; readonly port: number }[];

/** Request line and headers as fetch() sends them, with TCP's own. */
const GET_BYTES = 280;
/** Status line and headers. */
const HEADER_BYTES = 320;
/** The JSON of one image. */
const SUMMARY_BYTES = 300;
/** As LayerSwarm of the agent has it. */
const LAYER_NEIGHBOURS_WANTED = 2;
const CONTROL = 0;

export class SimAgent implements GuestDisk {
  readonly name: string;
  /** In the image's swarm. */
  readonly node: SimNode;
  /** In the layer's. */
  readonly layerNode: SimNode | undefined;
  /** From the first request to the tracker until the image's swarm is open. */
  joinMs: number | undefined;
  readonly #options: SimAgentOptions;
  readonly #cpu = new Cpu();
  #joinedAt: number | undefined;
  #layerPieces = 0;
  #members: readonly SwarmMember[] = [];
  #origins: Origins = [];
  readonly #reads: (() => void)[] = [];

  constructor(options: SimAgentOptions) {
    const { host, network, isOrigin, shape, have, content, random, limits, checker } = options;
    this.#options = options;
    this.name = host.name;
    const port = new SwarmPort(network, host);
    const shared = {
      ...{ clock: options.clock, network, host, port, cpu: this.#cpu, costs: options.costs },
      ...{ name: host.name, zone: host.zone, rack: host.rack, isOrigin },
      isPoisoner: options.isPoisoner,
    };
    const own = { swarm: 'image', isOpen: isOrigin, shape, have, random, limits, checker } as const;
    this.node = new SimNode({ ...shared, ...own });
    if (content.layer === undefined) return;
    const { pieceCount } = content.layer;
    this.layerNode = new SimNode({
      ...shared,
      ...{ swarm: 'layer', isOpen: true, shape: content.layer, random },
      have: isOrigin ? Bitfield.full(pieceCount) : new Bitfield(pieceCount),
      limits: { ...limits, ...(!isOrigin && { neighboursWanted: LAYER_NEIGHBOURS_WANTED }) },
      checker: {
        onDeliver: (node, index, payload: SimPayload, isFromOrigin) => {
          checker.onDeliver(node, index, payload, isFromOrigin);
          this.#layerPieces += 1;
          if (this.#layerPieces === pieceCount) this.#hasLayer();
        },
        onUpload: (...upload) => checker.onUpload(...upload),
        onBan: (...ban) => checker.onBan(...ban),
      },
    });
  }

  get engine(): SimNode['engine'] {
    return this.node.engine;
  }

  /** Once; later calls change nothing. */
  join(tracker: Host): void {
    if (this.#joinedAt !== undefined) return;
    const { clock, content, layerFrom } = this.#options;
    this.#joinedAt = clock.now;
    const files = [SUMMARY_BYTES, content.metainfoBytes];
    if (content.layer && layerFrom === 'tracker') files.push(content.layer.length);
    this.#get(tracker, files, () => this.#hasFiles(tracker));
  }

  setMembers(members: readonly SwarmMember[], origins: Origins): void {
    this.#members = members;
    this.#origins = origins;
    if (this.node.isOpen) this.node.setMembers(members, origins);
    else this.layerNode?.setMembers(members, origins);
  }

  read(guest: Guest, pieces: readonly number[], read: TraceRead, done: () => void): void {
    // Of what has no layer yet, not even the zeros are known.
    if (!this.node.isOpen) this.#reads.push(() => this.node.read(guest, pieces, read, done));
    else this.node.read(guest, pieces, read, done);
  }

  /** One after the other on one connection; calls `done` with the last. */
  #get(tracker: Host, files: number[], done: () => void): void {
    const { network, host } = this.#options;
    const ask = (): void => {
      const bytes = (files.shift() ?? 0) + HEADER_BYTES;
      stream.send({ type: 'get', bytes }, GET_BYTES, CONTROL);
    };
    const end: StreamEnd<SimMessage> = {
      onOpen: ask,
      onMessage: () => {
        if (files.length > 0) return ask();
        stream.close('done');
        done();
      },
      onDrain: () => {},
      onClose: () => {},
    };
    const stream = network.dial(host, tracker.name, end);
  }

  #hasFiles(tracker: Host): void {
    const { network, host, image, content, layerFrom } = this.#options;
    new SimSignal({ network, host, image, zone: host.zone, rack: host.rack }, tracker, this);
    if (this.layerNode === undefined || layerFrom === 'tracker') return this.#hasLayer();
    for (let index = 0; index < content.layer!.pieceCount; index += 1) {
      this.layerNode.input({ type: 'demand', pieceIndex: index });
    }
  }

  #hasLayer(): void {
    const { clock, costs, content } = this.#options;
    const checkedAt = this.#cpu.spend(clock.now, content.pieceCount * costs.layerMsPerPiece);
    clock.at(checkedAt + costs.storeMs, () => {
      this.joinMs = clock.now - (this.#joinedAt ?? 0);
      this.node.open();
      if (this.#members.length > 0) this.node.setMembers(this.#members, this.#origins);
      for (const read of this.#reads.splice(0)) read();
    });
  }
}
