/**
 * The tracker's metrics: their names, and where each is read when somebody scrapes. What nodes have moved is summed from their
 * reports, so a cloud is seen whole at one place; docs/metrics.md lists them.
 */
import type { ServerResponse } from 'node:http';
import {
  type MetricFamily,
  Metrics,
  type ProcessMetrics,
  type Sample,
  sendMetrics,
} from '@bootswarm/rest';
import { ALARM_CODES } from '@bootswarm/tracker-proto';
import type { Catalogue } from '../catalogue.ts';
import type { ListedImages } from '../listed-images.ts';
import type { OriginStats } from '../origin-protocol.ts';
import type { SignalServer } from '../signal-server.ts';
import { VERSION } from '../version.ts';
import type { CloudWatch } from './cloud-watch.ts';
import type { Bytes } from './storm-history.ts';

export interface TrackerMetricsSources {
  readonly catalogue: Catalogue;
  readonly process: ProcessMetrics;
  readonly problems: ReadonlyMap<string, number>;
  signals(): SignalServer;
  watch(): CloudWatch;
  originStats(): Promise<OriginStats | undefined>;
}

interface Scraped extends TrackerMetricsSources {
  /** Of the images that have samples of their own, which whoever scrapes may know of. */
  isListed(image: string): boolean;
}

export class TrackerMetrics {
  readonly #sources: TrackerMetricsSources;
  readonly #metrics: Metrics;
  #origin: OriginStats | undefined;
  #listed: ListedImages | undefined;

  constructor(sources: TrackerMetricsSources) {
    this.#sources = sources;
    const origin = () => this.#origin;
    const isListed = (image: string) => this.#listed?.has(image) === true;
    const scraped = { ...sources, isListed };
    this.#metrics = new Metrics([
      ...ownFamilies(sources),
      ...cloudFamilies(scraped),
      ...originFamilies(scraped, origin),
      ...troubleFamilies(sources),
      ...sources.process.families,
    ]);
  }

  get families(): readonly MetricFamily[] {
    return this.#metrics.families;
  }

  /** As of now: what the origin has sent is asked of it first. */
  async send(response: ServerResponse, listed: ListedImages): Promise<void> {
    const origin = await this.#sources.originStats();
    // Without a pause between: others scrape too, who may know of other images.
    this.#origin = origin;
    this.#listed = listed;
    sendMetrics(response, this.#metrics);
  }
}

function ownFamilies({ catalogue, signals, watch }: TrackerMetricsSources): MetricFamily[] {
  return [
    {
      name: 'bootswarm_tracker_info',
      type: 'gauge',
      help: 'Always 1: which tracker this is.',
      labels: ['version'],
      read: () => [{ labels: { version: VERSION }, value: 1 }],
    },
    gauge('catalogue_images', 'Images that are published.', () => catalogue.size),
    gauge('agents_connected', 'Agents that are connected.', () => signals().agentCount),
    gauge('overview_listeners', 'Who listens to the overview.', () => watch().listeners),
  ];
}

function cloudFamilies({ signals, watch, catalogue, isListed }: Scraped): MetricFamily[] {
  const nameOf = (image: string) => (catalogue.has(image) ? catalogue.find(image).image.name : '');
  return [
    {
      name: 'bootswarm_nodes_read_bytes_total',
      type: 'counter',
      help: 'Bytes that guests of all nodes read, by where they were when the read arrived.',
      labels: ['source'],
      read: () => bySource(watch().reports.read, ['cache', 'peers', 'origin']),
    },
    {
      name: 'bootswarm_nodes_received_bytes_total',
      type: 'counter',
      help: 'Bytes that all nodes received and verified, from each other and from the origin.',
      labels: ['source'],
      read: () => bySource(watch().reports.received, ['peers', 'origin']),
    },
    gauge(
      'nodes_origin_ratio',
      'Of what nodes received, the part that came from the origin.',
      () => {
        const { peers, origin } = watch().reports.received;
        return peers + origin === 0 ? 0 : origin / (peers + origin);
      },
    ),
    {
      name: 'bootswarm_nodes_origin_requests_total',
      type: 'counter',
      help: 'Pieces that nodes asked of the origin, by the reason why.',
      labels: ['reason'],
      read: () =>
        Array.from(watch().reports.originReasons, ([reason, value]) => ({
          labels: { reason },
          value,
        })),
    },
    gauge(
      'nodes_vms_booting',
      'VMs that boot now, on all nodes.',
      () => watch().reports.vmsBooting,
    ),
    {
      name: 'bootswarm_swarm_members',
      type: 'gauge',
      help: 'Nodes in the swarm of an image.',
      labels: ['image', 'name'],
      read: () =>
        signals()
          .swarms()
          .filter(({ image }) => isListed(image))
          .map(({ image, members }) => ({
            labels: { image, name: nameOf(image) },
            value: members.length,
          })),
    },
  ];
}

function originFamilies(
  { catalogue, isListed }: Scraped,
  origin: () => OriginStats | undefined,
): MetricFamily[] {
  const ofImages = (value: (stats: OriginStats['images'][string]) => number): Sample[] =>
    Object.entries(origin()?.images ?? {}).flatMap(([image, stats]) => {
      if (!catalogue.has(image) || !isListed(image)) return [];
      const { name } = catalogue.find(image).image;
      return [{ labels: { image, name }, value: value(stats) }];
    });
  return [
    gauge('origin_up', '1 when the origin answers.', () => Number(origin() !== undefined)),
    {
      name: 'bootswarm_origin_sent_bytes_total',
      type: 'counter',
      help: 'Bytes that the origin sent, of the image and of its piece layer.',
      labels: ['image', 'name'],
      read: () => ofImages(({ bytesSent, layerBytesSent }) => bytesSent + layerBytesSent),
    },
    {
      name: 'bootswarm_origin_peers',
      type: 'gauge',
      help: 'Wires of the origin.',
      labels: ['image', 'name'],
      read: () => ofImages(({ peers }) => peers),
    },
    {
      name: 'bootswarm_image_data_bytes',
      type: 'gauge',
      help: 'What of an image ever moves: not the pieces that are all zero.',
      labels: ['image', 'name'],
      read: () =>
        catalogue
          .list()
          .filter(({ id }) => isListed(id))
          .map(({ id: image, name, length, pieceCount, zeroPieces, pieceLength }) => ({
            labels: { image, name },
            value: Math.min(length, (pieceCount - zeroPieces) * pieceLength),
          })),
    },
  ];
}

function troubleFamilies({ problems, signals, watch }: TrackerMetricsSources): MetricFamily[] {
  return [
    {
      name: 'bootswarm_tracker_errors_total',
      type: 'counter',
      help: 'What went wrong, by part (api, signal) and code.',
      labels: ['part', 'code'],
      read: () => [...errorsOf('api', problems), ...errorsOf('signal', signals().errors)],
    },
    {
      name: 'bootswarm_alarms',
      type: 'gauge',
      help: 'Alarms that are raised now, on the tracker and on all nodes.',
      labels: ['code'],
      read: () => {
        const raised = watch().alarms();
        return ALARM_CODES.map((code) => ({
          labels: { code },
          value: raised.filter((alarm) => alarm.code === code).length,
        }));
      },
    },
    {
      name: 'bootswarm_alarms_raised_total',
      type: 'counter',
      help: 'How often the tracker raised an alarm of its own.',
      labels: ['code'],
      read: () =>
        ALARM_CODES.map((code) => ({ labels: { code }, value: watch().board.count(code) })),
    },
  ];
}

function errorsOf(part: string, counts: ReadonlyMap<string, number>): Sample[] {
  return Array.from(counts, ([code, value]) => ({ labels: { part, code }, value }));
}

function bySource(bytes: Bytes, sources: readonly (keyof Bytes)[]): Sample[] {
  return sources.map((source) => ({ labels: { source }, value: bytes[source] }));
}

function gauge(name: string, help: string, read: () => number): MetricFamily {
  return { name: `bootswarm_${name}`, type: 'gauge', help, read };
}
