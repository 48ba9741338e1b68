/**
 * Judges a run while it happens, and hashes what happened: nothing unverified reaches a guest, nobody sends what it does not
 * hold, no honest peer is banned. A breach ends the run with its virtual time, so that the seed can be replayed up to it.
 */
import { assert } from '@bootswarm/stdx';
import type { SimPayload } from './sim-message.ts';
import type { NodeChecker, SimNode } from './sim-node.ts';
import type { VirtualClock } from './virtual-clock.ts';

export class RunChecker implements NodeChecker {
  readonly #clock: VirtualClock;
  readonly #poisoners: ReadonlySet<string>;
  /** FNV-1a over every delivery, upload and ban, with its time. */
  #hash = 0x811c9dc5;
  bans = 0;

  constructor(clock: VirtualClock, poisoners: ReadonlySet<string>) {
    this.#clock = clock;
    this.#poisoners = poisoners;
  }

  /** The same for the same commit, options and seed. */
  get logHash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  onDeliver(node: SimNode, pieceIndex: number, payload: SimPayload, isFromOrigin: boolean): void {
    assert(payload === 'good', `${this.#when} ${node.name} delivers wrong piece ${pieceIndex}`);
    this.#log(node.name, pieceIndex, isFromOrigin ? 1 : 2);
  }

  onUpload(node: SimNode, pieceIndex: number, isHeld: boolean): void {
    assert(isHeld, `${this.#when} ${node.name} sends piece ${pieceIndex}, which it does not hold`);
    this.#log(node.name, pieceIndex, 3);
  }

  onBan(node: SimNode, peerNode: string): void {
    const isJust = this.#poisoners.has(peerNode);
    assert(isJust, `${this.#when} ${node.name} bans ${peerNode}, which is honest`);
    this.bans += 1;
    this.#log(node.name, 0, 4);
  }

  get #when(): string {
    return `at ${this.#clock.now.toFixed(3)} ms:`;
  }

  #log(name: string, pieceIndex: number, kind: number): void {
    for (let at = 0; at < name.length; at += 1) this.#mix(name.charCodeAt(at));
    this.#mix(pieceIndex);
    this.#mix(kind);
    this.#mix(Math.round(this.#clock.now * 1_000));
  }

  #mix(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 0x01000193);
  }
}
