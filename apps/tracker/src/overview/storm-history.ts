/**
 * What the cloud does, second by second, and the boot storm that is on or was last. Reports say what happened over some seconds,
 * and are spread evenly over these. Knows no clock: seconds since 1970 are passed in.
 */
import type { NodeReport } from '@bootswarm/tracker-proto';
import {
  type BytesBySource,
  HISTORY_SECONDS,
  type Storm,
  type StormSample,
} from '../overview-api.ts';

type Amounts = Pick<
  NodeReport,
  'readCache' | 'readPeers' | 'readOrigin' | 'receivedPeers' | 'receivedOrigin'
>;

export type Bytes = { -readonly [Source in keyof BytesBySource]: number };

interface Second {
  at: number;
  vmsBooting: number;
  readonly read: Bytes;
  readonly received: Bytes;
}

interface StormCount {
  readonly startedAt: number;
  endedAt: number | undefined;
  vmsBootingMax: number;
  readonly read: Bytes;
  readonly received: Bytes;
}

export class StormHistory {
  /** By second modulo the length; overwritten when their time comes again. */
  readonly #seconds: Second[];
  #now: number;
  #vmsBooting = 0;
  #storm: StormCount | undefined;

  constructor(now: number) {
    this.#now = now;
    const first = now - HISTORY_SECONDS + 1;
    this.#seconds = Array.from({ length: HISTORY_SECONDS }, () => noSecond(0));
    for (let at = first; at <= now; at += 1) this.#seconds[at % HISTORY_SECONDS] = noSecond(at);
  }

  /** Time has come to `now`; seconds that were skipped are empty. A clock that was put back waits. */
  advance(now: number): void {
    const from = Math.max(this.#now + 1, now - HISTORY_SECONDS + 1);
    for (let at = from; at <= now; at += 1) {
      this.#seconds[at % HISTORY_SECONDS] = { ...noSecond(at), vmsBooting: this.#vmsBooting };
    }
    this.#now = Math.max(this.#now, now);
  }

  /** VMs that boot now, over all nodes. */
  setBooting(vmsBooting: number): void {
    this.#vmsBooting = vmsBooting;
    const { [this.#now % HISTORY_SECONDS]: second } = this.#seconds;
    second.vmsBooting = Math.max(second.vmsBooting, vmsBooting);
    const storm = this.#storm;
    if (vmsBooting === 0) {
      if (storm) storm.endedAt ??= this.#now;
    } else if (storm === undefined || storm.endedAt !== undefined) {
      this.#storm = {
        startedAt: this.#now,
        endedAt: undefined,
        vmsBootingMax: vmsBooting,
        read: noBytes(),
        received: noBytes(),
      };
    } else {
      storm.vmsBootingMax = Math.max(storm.vmsBootingMax, vmsBooting);
    }
  }

  /** What happened in the `seconds` until now, at least one. */
  add(amounts: Amounts, seconds: number): void {
    const count = Math.min(Math.max(1, Math.round(seconds)), HISTORY_SECONDS);
    for (let back = 0; back < count; back += 1) {
      const second = this.#seconds[(this.#now - back) % HISTORY_SECONDS];
      // What does not divide goes to the newest, so that nothing is lost.
      addAmounts(second, amounts, (bytes) => {
        const part = Math.floor(bytes / count);
        return back === 0 ? bytes - part * (count - 1) : part;
      });
    }
    if (this.#storm?.endedAt === undefined && this.#storm) addAmounts(this.#storm, amounts);
  }

  /** The last `count` seconds, the oldest first; the objects are the history's own. */
  samples(count: number): StormSample[] {
    const first = this.#now - Math.min(count, HISTORY_SECONDS) + 1;
    return Array.from({ length: this.#now - first + 1 }, (_, index) => {
      return this.#seconds[(first + index) % HISTORY_SECONDS];
    });
  }

  get storm(): Storm | null {
    const storm = this.#storm;
    if (storm === undefined) return null;
    const { startedAt, endedAt, vmsBootingMax, read, received } = storm;
    const all = received.peers + received.origin;
    return {
      startedAt: timeOf(startedAt),
      endedAt: endedAt === undefined ? null : timeOf(endedAt),
      vmsBootingMax,
      read: { ...read },
      received: { ...received },
      originShare: all === 0 ? 0 : received.origin / all,
    };
  }
}

export function noBytes(): Bytes {
  return { cache: 0, peers: 0, origin: 0 };
}

export function addAmounts(
  { read, received }: { readonly read: Bytes; readonly received: Bytes },
  amounts: Amounts,
  part: (bytes: number) => number = (bytes) => bytes,
): void {
  read.cache += part(amounts.readCache);
  read.peers += part(amounts.readPeers);
  read.origin += part(amounts.readOrigin);
  received.peers += part(amounts.receivedPeers);
  received.origin += part(amounts.receivedOrigin);
}

function noSecond(at: number): Second {
  return { at, vmsBooting: 0, read: noBytes(), received: noBytes() };
}

function timeOf(second: number): string {
  return new Date(second * 1_000).toISOString();
}
