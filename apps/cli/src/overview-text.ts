/** An overview of the tracker as lines of text that fit a terminal. Paints nothing. */
import type { BytesBySource, NodeOverview, Overview, StormSample } from '@bootswarm/tracker';
import { formatBytes } from './byte-size.ts';
import { countOf, countText } from './count-text.ts';
import { left, renderTable, right } from './table.ts';
import { cutToWidth, printable } from './terminal-text.ts';

const BARS = [...' ▁▂▃▄▅▆▇█'];
const GRAPH_SECONDS = 60;
/** Beside a graph: its name, and the widest rate, `1023 MiB/s`. */
const GRAPH_WORDS = 21;
const NODES_SHOWN = 12;
const READS_SHOWN = 5;
const IMAGE_COLUMNS = [
  ...[left('IMAGE'), right('NODES'), right('WHOLE'), right('BOOT ORDER')],
  ...[right('PEERS'), right('ORIGIN'), right('COPIES')],
];
const NODE_COLUMNS = [
  ...[left('NODE'), left('ZONE'), left('STATE'), right('BOOTING')],
  ...[right('CACHE'), right('PEERS'), right('ORIGIN'), right('IN')],
];

/** Events bring the last seconds only: what came before is kept here. */
export class OverviewHistory {
  readonly #samples = new Map<number, StormSample>();

  merged(overview: Overview): Overview {
    for (const sample of overview.samples) this.#samples.set(sample.at, sample);
    const first = overview.now.at - GRAPH_SECONDS;
    for (const at of this.#samples.keys()) if (at <= first) this.#samples.delete(at);
    const samples = [...this.#samples.values()].sort((a, b) => a.at - b.at);
    return { ...overview, samples };
  }
}

/** No line is wider than `width`. */
export function describeOverview(overview: Overview, width: number): string[] {
  const { tracker, images, nodes, nodesLeftOut } = overview;
  const origin = tracker.hasOrigin ? 'origin up' : 'NO ORIGIN';
  const shown = nodes.toSorted(byInterest).slice(0, NODES_SHOWN);
  const hidden = nodes.length - shown.length + nodesLeftOut;
  const inCloud = `${countOf(tracker.agents, 'node')}, ${countOf(images.length, 'image')}`;
  const lines = [
    `bootswarm ${tracker.version}   ${overview.at}   ${inCloud}, ${origin}`,
    ...describeStorm(overview),
    '',
    ...graphLines(overview, width),
    ...alarmLines(overview),
    '',
    ...renderTable(IMAGE_COLUMNS, images.map(imageRow), width).split('\n'),
    '',
    ...renderTable(NODE_COLUMNS, shown.map(nodeRow), width).split('\n'),
    ...(hidden > 0 ? [`and ${hidden} more nodes`] : []),
    ...readLines(overview),
  ];
  return lines.map((line) => cutToWidth(line, width));
}

function describeStorm({ storm, now }: Overview): string[] {
  if (storm === null) return ['no VM has booted since the tracker was started'];
  const { read, originShare, vmsBootingMax, startedAt, endedAt } = storm;
  const share = `${(originShare * 100).toFixed(1)} % from the origin`;
  const [most, begin] = [countText(vmsBootingMax), startedAt.slice(11, 19)];
  const verb = now.vmsBooting === 1 ? 'boots' : 'boot';
  const when =
    endedAt === null
      ? `STORM    ${countOf(now.vmsBooting, 'VM')} ${verb} (${most} at most) since ${begin}`
      : `storm    ${countOf(vmsBootingMax, 'VM')} at most, ${begin} to ${endedAt.slice(11, 19)}`;
  return [`${when}; ${share}`, `         guests read: ${bySource(read)}`];
}

function bySource({ cache, peers, origin }: BytesBySource): string {
  return `${formatBytes(cache)} cache, ${formatBytes(peers)} peers, ${formatBytes(origin)} origin`;
}

function graphLines({ samples }: Overview, width: number): string[] {
  const seconds = Math.max(1, Math.min(GRAPH_SECONDS, width - GRAPH_WORDS));
  const rows: [string, (sample: StormSample) => number, (value: number) => string][] = [
    ['booting', ({ vmsBooting }) => vmsBooting, String],
    ['cache', ({ read }) => read.cache, rate],
    ['peers', ({ received }) => received.peers, rate],
    ['origin', ({ received }) => received.origin, rate],
  ];
  return rows.map(([name, value, text]) => {
    const values = samples.slice(-seconds).map(value);
    const most = Math.max(0, ...values);
    return `${name.padEnd(8)} ${graph(values, most).padStart(seconds)}  ${text(most)}`;
  });
}

function rate(bytes: number): string {
  return `${formatBytes(bytes)}/s`;
}

function graph(values: readonly number[], most: number): string {
  const top = BARS.length - 1;
  return values.map((value) => BARS[most === 0 ? 0 : Math.ceil((value / most) * top)]).join('');
}

function alarmLines({ alarms }: Overview): string[] {
  return alarms.map(
    ({ code, node, subject, reason }) =>
      `ALARM    ${printable(node)}: ${code}, ${printable(subject)}: ${printable(reason)}`,
  );
}

function imageRow(image: Overview['images'][number]): string[] {
  const kinds = image.bootOrder.map(
    ({ pieces, boots }) => `${pieces} pieces/${countOf(boots, 'boot')}`,
  );
  return [
    image.title,
    String(image.members),
    String(image.complete),
    kinds[0] ?? 'none',
    formatBytes(image.receivedFromPeers),
    formatBytes(image.receivedFromOrigin),
    image.originCopies.toFixed(2),
  ];
}

const STATES = ['alarm', 'booting', 'fetching', 'idle'];

function byInterest(a: NodeOverview, b: NodeOverview): number {
  const order = STATES.indexOf(a.state) - STATES.indexOf(b.state);
  return order || b.bytesPerSecond - a.bytesPerSecond || (a.node < b.node ? -1 : 1);
}

function nodeRow(node: NodeOverview): string[] {
  return [
    ...[node.node, node.zone, node.state, String(node.vmsBooting)],
    ...[node.read.cache, node.received.peers, node.received.origin].map(formatBytes),
    rate(node.bytesPerSecond),
  ];
}

/** Why it was asked is before the image, of which the end may be cut off. */
function readLines({ images, originReads }: Overview): string[] {
  if (originReads.length === 0) return [];
  const rows = originReads.slice(0, READS_SHOWN).map((read) => {
    const { at, node, image, imageName, reason, pieces } = read;
    const title = images.find(({ id }) => id === image)?.title ?? imageName;
    const what = `${countOf(pieces, 'piece')} (${reason}) of ${printable(title)}`;
    return `${at.slice(11, 19)} ${printable(node)} asked the origin for ${what}`;
  });
  return ['', ...rows];
}
