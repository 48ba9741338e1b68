/**
 * How an agent joins, as ImageLibrary does it: metainfo from the tracker, membership, the piece layer from its swarm or at last
 * from the tracker, and only then the image's swarm. Its layer node serves others for as long as the process lives.
 */
import { Bitfield, type Random } from '@bootswarm/stdx';
import { MemberDirectory, type SwarmShape } from '@bootswarm/swarm-proto';
import type { ImageContent } from './image-content.ts';
import type { Host, StreamEnd } from './network.ts';
import { Redial } from './redial.ts';
import type { SimMessage } from './sim-message.ts';
import type { SimNode } from './sim-node.ts';
import { type Origins, SimSignal } from './sim-tracker.ts';

/** What an agent has on disk beside pieces. */
export interface AgentFiles {
  readonly hasMetainfo: boolean;
  readonly hasLayer: boolean;
}

export interface SimAgentOptions {
  /** In the image's swarm; not open. */
  readonly node: SimNode;
  readonly tracker: Host;
  /** 40 hex digits. */
  readonly image: string;
  readonly content: ImageContent;
  /** Where the piece layer comes from: its swarm, or the tracker as if there were none. */
  readonly layerFrom: 'swarm' | 'tracker';
  readonly files: AgentFiles;
  readonly random: Random;
  /** A node of the layer's swarm in the same process; `onFull` when it has every piece. */
  readonly startLayerNode: (shape: SwarmShape, have: Bitfield, onFull: () => void) => SimNode;
}

/** Request line and headers as fetch() sends them, with TCP's own. */
const GET_BYTES = 280;
/** Status line and headers. */
const HEADER_BYTES = 320;
/** The JSON of one image. */
const SUMMARY_BYTES = 300;
/** As layer-fetch.ts of the agent: a swarm that brought nothing for this long, and as long again by chance, is given up. */
const STALL_MS = 5_000;
/** As layer-swarm.ts of the agent. */
const HANG_UP_MS = 10_000;
const CONTROL = 0;

export class SimAgent {
  readonly host: Host;
  readonly node: SimNode;
  /** From the first request to the tracker until the image's swarm is open. */
  joinMs: number | undefined;
  isStopped = false;
  readonly #options: SimAgentOptions;
  readonly #redial: Redial;
  readonly #startedAt: number;
  #layerNode: SimNode | undefined;
  #signal: SimSignal | undefined;
  #hasMetainfo: boolean;
  #hasLayer: boolean;
  #members: MemberDirectory | undefined;
  #origins: Origins = [];

  /** Joins from now on. */
  constructor(options: SimAgentOptions) {
    const { node, random, files } = options;
    this.#options = options;
    this.node = node;
    this.host = node.host;
    this.#redial = new Redial(node.options.clock, random);
    this.#startedAt = node.options.clock.now;
    this.#hasMetainfo = files.hasMetainfo;
    this.#hasLayer = files.hasLayer;
    this.host.whenAwake(() => this.#fetchFiles());
  }

  get files(): AgentFiles {
    return { hasMetainfo: this.#hasMetainfo, hasLayer: this.#hasLayer };
  }

  /** The process is gone; the node of the image's swarm is stopped by whoever started it. */
  stop(): void {
    this.isStopped = true;
    this.#signal?.stop();
    this.#layerNode?.stop();
  }

  // --- files of the tracker --------------------------------------------------------------------------------------------

  #fetchFiles(): void {
    const { content, layerFrom } = this.#options;
    const files = this.#hasMetainfo ? [] : [SUMMARY_BYTES, content.metainfoBytes];
    if (content.layer && layerFrom === 'tracker' && !this.#hasLayer) {
      files.push(content.layer.length);
    }
    this.#get(files, () => this.#join());
  }

  /** One after the other on one connection, and from the first again when it breaks; calls `done` with the last. */
  #get(files: readonly number[], done: () => void): void {
    if (files.length === 0) return done();
    const { tracker } = this.#options;
    const { network } = this.node.options;
    let next = 0;
    const ask = (): void =>
      stream.send({ type: 'get', bytes: files[next] + HEADER_BYTES }, GET_BYTES, CONTROL);
    const end: StreamEnd<SimMessage> = {
      onOpen: ask,
      onMessage: () => {
        if (this.isStopped) return;
        next += 1;
        if (next < files.length) return ask();
        stream.close('done');
        done();
      },
      onDrain: () => {},
      onClose: () => {
        if (next < files.length) this.#afterAwake(this.#redial.nextMs(), again);
      },
    };
    const again = (): void => this.#get(files, done);
    const stream = network.dial(this.host, tracker.name, end);
  }

  #setMembers(members: MemberDirectory, origins: Origins): void {
    this.#members = members;
    this.#origins = origins;
    if (this.node.isOpen) this.node.setMembers(members, origins);
    // Who has everything need not know whom to ask.
    if (!this.#hasLayer) this.#layerNode?.setMembers(members, origins);
  }

  #join(): void {
    const { tracker, image, random, content, layerFrom } = this.#options;
    const { clock, network } = this.node.options;
    this.#hasMetainfo = true;
    // Whom the layer's swarm finds dead, the tracker does not hear of.
    this.#signal = new SimSignal({
      ...{ clock, network, tracker, image, node: this.node, random },
      onMembers: (...order) => this.#setMembers(...order),
    });
    const { layer } = content;
    if (layer === undefined || layerFrom === 'tracker') this.#onLayer();
    else if (this.#hasLayer) this.#adoptLayer(layer);
    else this.#fetchLayer(layer);
  }

  // --- the piece layer -------------------------------------------------------------------------------------------------

  #fetchLayer(shape: SwarmShape): void {
    const { startLayerNode } = this.#options;
    const have = new Bitfield(shape.pieceCount);
    this.#layerNode = startLayerNode(shape, have, () => this.#onLayer());
    for (let pieceIndex = 0; pieceIndex < shape.pieceCount; pieceIndex += 1) {
      this.#layerNode.input({ type: 'demand', pieceIndex });
    }
    this.#watch(shape, this.#layerNode, -1);
  }

  /** Asks the tracker when the layer's swarm has brought no piece since it had brought `before`. */
  #watch(shape: SwarmShape, layerNode: SimNode, before: number): void {
    const { delivered } = layerNode.ledger;
    if (delivered > before) {
      const stallMs = STALL_MS * (1 + this.#options.random.float());
      this.#afterAwake(stallMs, () => {
        if (!this.#hasLayer) this.#watch(shape, layerNode, delivered);
      });
      return;
    }
    this.#get([shape.length], () => {
      if (this.#hasLayer) return;
      layerNode.shut();
      this.#adoptLayer(shape);
    });
  }

  /** The layer came another way: an engine learns what it has when it starts. */
  #adoptLayer(shape: SwarmShape): void {
    const have = Bitfield.full(shape.pieceCount);
    this.#layerNode = this.#options.startLayerNode(shape, have, () => {});
    this.#onLayer();
  }

  #onLayer(): void {
    const { content } = this.#options;
    const { clock, costs, process } = this.node.options;
    this.#hasLayer = true;
    const unpackedAt = process.cpu.spend(clock.now, content.pieceCount * costs.layerMsPerPiece);
    this.#afterAwake(unpackedAt + costs.storeMs - clock.now, () => {
      this.joinMs = clock.now - this.#startedAt;
      this.node.open();
      if (this.#members) this.node.setMembers(this.#members, this.#origins);
    });
    this.#afterAwake(HANG_UP_MS, () => {
      this.#layerNode?.setMembers(MemberDirectory.EMPTY, []);
      this.#layerNode?.hangUp();
    });
  }

  #afterAwake(delayMs: number, act: () => void): void {
    this.node.options.clock.after(delayMs, () =>
      this.host.whenAwake(() => {
        if (!this.isStopped) act();
      }),
    );
  }
}
