/** The agent's metrics: their names, and where each is read when somebody scrapes. docs/metrics.md lists them. */
import { isGlanceImageId } from '@bootswarm/openstack';
import { type MetricFamily, Metrics, type ProcessMetrics, type Sample } from '@bootswarm/rest';
import { WAIT_BOUNDS_SECONDS } from '@bootswarm/swarm-driver';
import { PIECE_CLASSES, PIECE_SOURCES } from '@bootswarm/swarm-proto';
import { ALARM_CODES } from '@bootswarm/tracker-proto';
import type { AgentStatus } from '../api.ts';
import type { AgentAlarms } from './agent-alarms.ts';
import type { ErrorCounts } from './error-counts.ts';
import type { NodeTotals } from './node-totals.ts';

export interface AgentMetricsSources {
  readonly totals: NodeTotals;
  readonly alarms: AgentAlarms;
  readonly errors: ErrorCounts;
  readonly process: ProcessMetrics;
  status(): AgentStatus;
  vmsBooting(): number;
}

/** One status is read for all gauges of a scrape. */
export class AgentMetrics {
  readonly metrics: Metrics;
  #status: AgentStatus;

  constructor(sources: AgentMetricsSources) {
    this.#status = sources.status();
    const status = () => this.#status;
    const info: MetricFamily = {
      name: 'bootswarm_agent_info',
      type: 'gauge',
      help: 'Always 1: which agent this is.',
      labels: ['version', 'node', 'zone', 'rack'],
      read: () => {
        // The first of them: the others read what it read.
        this.#status = sources.status();
        const { version, node, zone, rack } = this.#status;
        return [{ labels: { version, node, zone, rack }, value: 1 }];
      },
    };
    this.metrics = new Metrics([
      info,
      ...movedFamilies(sources),
      ...readFamilies(sources, status),
      ...imageFamilies(status),
      ...nodeFamilies(sources, status),
      ...troubleFamilies(sources),
      ...sources.process.families,
    ]);
  }
}

/** What a piece class is called outside: the boot order is what is prefetched. */
const CLASS_LABEL = { demand: 'demand', 'boot-order': 'prefetch', fill: 'fill' } as const;

function movedFamilies({ totals }: AgentMetricsSources): MetricFamily[] {
  return [
    {
      name: 'bootswarm_received_bytes_total',
      type: 'counter',
      help: 'Pieces received and verified: from agents of this zone, of others, BitTorrent clients, the origin.',
      labels: ['source', 'class'],
      read: () =>
        PIECE_SOURCES.flatMap((source) =>
          PIECE_CLASSES.map((each) => ({
            labels: { source, class: CLASS_LABEL[each] },
            value: totals.of(`received.${source}.${each}`),
          })),
        ),
    },
    {
      name: 'bootswarm_layer_received_bytes_total',
      type: 'counter',
      help: 'Piece layers received from agents and from the origin.',
      labels: ['source'],
      read: () => samplesOf('source', ['peers', 'origin'], (each) => totals.of(`layer.${each}`)),
    },
    counter('sent_bytes', 'Pieces sent to others.', () => totals.of('bytesSent')),
    counter(
      'wasted_bytes',
      'Received and thrown away: duplicates, and what failed verification.',
      () => totals.of('bytesWasted'),
    ),
    {
      name: 'bootswarm_origin_ratio',
      type: 'gauge',
      help: 'Of what was received since the start, the part that came from the origin.',
      read: () => {
        const all = totals.sum('received.');
        return all === 0 ? 0 : totals.sum('received.origin.') / all;
      },
    },
    {
      name: 'bootswarm_origin_requests_total',
      type: 'counter',
      help: 'Pieces asked of the origin, by the reason why.',
      labels: ['reason'],
      read: () => fromMap('reason', totals.under('originRequests.')),
    },
    counter('hedges', 'Second sources asked for a piece that was late.', () => totals.of('hedges')),
    counter('pieces_refuted', 'Pieces that failed verification.', () => totals.of('piecesRefuted')),
  ];
}

function readFamilies({ totals }: AgentMetricsSources, status: () => AgentStatus): MetricFamily[] {
  const sources = ['cache', 'peers', 'origin', 'zero'];
  return [
    {
      name: 'bootswarm_guest_read_bytes_total',
      type: 'counter',
      help: 'Bytes that guests read, by where they were when the read arrived.',
      labels: ['source'],
      read: () => samplesOf('source', sources, (each) => totals.of(`read.${each}`)),
    },
    counter('guest_read_misses', 'Reads that could not be answered at once.', () =>
      totals.of('misses'),
    ),
    {
      name: 'bootswarm_guest_read_wait_seconds',
      type: 'histogram',
      help: 'How long those waited that could not be answered at once, and were.',
      read: () => [
        {
          bounds: WAIT_BOUNDS_SECONDS,
          counts: Array.from({ length: WAIT_BOUNDS_SECONDS.length + 1 }, (_, at) =>
            totals.of(`waits.${at}`),
          ),
          sum: totals.of('waits.sum'),
        },
      ],
    },
    gauge('guest_reads_waiting', 'Reads that wait right now.', () =>
      status().images.reduce((sum, { readsWaiting }) => sum + readsWaiting, 0),
    ),
    gauge('oldest_read_wait_seconds', 'How long the oldest of them has waited.', () =>
      Math.max(0, ...status().images.map(({ oldestReadWaitMs }) => oldestReadWaitMs / 1_000)),
    ),
  ];
}

function imageFamilies(status: () => AgentStatus): MetricFamily[] {
  return [
    gauge('images', 'Images that this node has opened.', () => status().images.length),
    {
      name: 'bootswarm_image_cached_ratio',
      type: 'gauge',
      help: 'Of the pieces of an image that are not zero, the part that is here.',
      labels: ['image', 'name'],
      read: () =>
        status().images.map(({ id: image, name, piecesHad, pieceCount, zeroPieces }) => ({
          labels: labelsOf(image, name),
          value:
            pieceCount === zeroPieces ? 1 : (piecesHad - zeroPieces) / (pieceCount - zeroPieces),
        })),
    },
    {
      name: 'bootswarm_peers',
      type: 'gauge',
      help: 'Wires to other nodes, clients and origins.',
      labels: ['image', 'name'],
      read: () =>
        status().images.map(({ id: image, name, peers }) => ({
          labels: labelsOf(image, name),
          value: peers,
        })),
    },
  ];
}

/** A whole id is all that joining a swarm asks for, and who scrapes may not be whom Glance shows the image. */
function labelsOf(image: string, name: string): Sample['labels'] {
  return { image: isGlanceImageId(name) ? image.slice(0, LABEL_LENGTH) : image, name };
}

/** 32 bits tell images apart and do not let anybody guess the other 128. */
const LABEL_LENGTH = 8;

function nodeFamilies(
  { alarms, vmsBooting }: AgentMetricsSources,
  status: () => AgentStatus,
): MetricFamily[] {
  return [
    gauge('cache_bytes', 'What images take of the disk.', () => status().cache.bytesUsed),
    {
      name: 'bootswarm_cache_limit_bytes',
      type: 'gauge',
      help: 'What they may take (--cache-max); missing without a limit.',
      read: () => {
        const { bytesMax } = status().cache;
        return bytesMax === null ? [] : [{ value: bytesMax }];
      },
    },
    gauge('cache_full', '1 when the limit is reached and nothing may be evicted.', () =>
      Number(status().cache.isFull),
    ),
    gauge('disk_free_bytes', "Free on the cache's disk.", () => alarms.diskBytesFree),
    gauge('vms', 'VMs of this node.', () => status().vms.length),
    gauge('vms_booting', 'VMs that boot now, by how they read.', vmsBooting),
    gauge('nbd_connections', 'NBD clients.', () => status().nbd.connections),
    gauge('nbd_reply_bytes', 'Held for replies that wait.', () => status().nbd.replyBytes),
    gauge('tracker_connected', '1 when the tracker is connected.', () =>
      Number(status().tracker.isConnected),
    ),
  ];
}

function troubleFamilies({ alarms, errors }: AgentMetricsSources): MetricFamily[] {
  return [
    {
      name: 'bootswarm_errors_total',
      type: 'counter',
      help: 'What went wrong, by part (api, wire, dial, piece, nbd, tracker) and code.',
      labels: ['part', 'code'],
      read: () =>
        Array.from(errors.all, ({ part, code, count: value }) => ({
          labels: { part, code },
          value,
        })),
    },
    {
      name: 'bootswarm_alarms',
      type: 'gauge',
      help: 'Alarms that are raised now.',
      labels: ['code'],
      read: () =>
        samplesOf('code', ALARM_CODES, (code) => alarms.all.filter((a) => a.code === code).length),
    },
    {
      name: 'bootswarm_alarms_raised_total',
      type: 'counter',
      help: 'How often an alarm was raised.',
      labels: ['code'],
      read: () => samplesOf('code', ALARM_CODES, (code) => alarms.count(code)),
    },
  ];
}

function counter(name: string, help: string, read: () => number): MetricFamily {
  return { name: `bootswarm_${name}_total`, type: 'counter', help, read };
}

function gauge(name: string, help: string, read: () => number): MetricFamily {
  return { name: `bootswarm_${name}`, type: 'gauge', help, read };
}

function samplesOf<Value extends string>(
  label: string,
  values: readonly Value[],
  read: (value: Value) => number,
): Sample[] {
  return values.map((each) => ({ labels: { [label]: each }, value: read(each) }));
}

function fromMap(label: string, values: ReadonlyMap<string, number>): Sample[] {
  return Array.from(values, ([each, value]) => ({ labels: { [label]: each }, value }));
}
