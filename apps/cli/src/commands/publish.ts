/** `bootswarm publish`: puts an image into the tracker's catalogue and shows how far that is. */
import { access, constants } from 'node:fs/promises';
import { resolve } from 'node:path';
import { isSourceUri } from '@bootswarm/image-source';
import { messageOf, OperatorError } from '@bootswarm/stdx';
import type { ImageSummary, PrejoinPolicy, PublishEvent, PublishRequest } from '@bootswarm/tracker';
import { Command, Option } from 'commander';
import { adminToken } from '../admin-token.ts';
import type { CliContext } from '../cli-context.ts';
import { findTracker, isThisHost, withTrackerOption } from '../daemons.ts';
import type { HttpClient } from '../http-client.ts';
import { describeLength } from '../image-text.ts';
import { type ProgressReport, progressReport } from '../progress-report.ts';
import { print, printJson, type Terminal } from '../terminal.ts';
import { printable } from '../terminal-text.ts';

interface Options {
  readonly tracker?: string;
  readonly name?: string;
  readonly format?: 'raw' | 'qcow2';
  readonly inPlace?: boolean;
  readonly prejoin?: PrejoinPolicy;
  readonly json?: boolean;
}

type Published = Extract<PublishEvent, { type: 'published' }>;

export function publishCommand({ terminal }: CliContext): Command {
  const command = new Command('publish')
    .description('Put an image into the catalogue: a raw or qcow2 FILE, a URL of one, or a volume.')
    .argument('<file|url>', "a file or device on the tracker's host, or a URI it can read")
    .option('--name <name>', "what to call it; else the file's name")
    .addOption(
      new Option('--format <format>', 'what it is, instead of a look inside').choices([
        'raw',
        'qcow2',
      ]),
    )
    .option('--in-place', 'serve a raw file where it lies; nobody may change it from then on')
    .addOption(
      new Option(
        '--prejoin <who>',
        'which agents join its swarm before a VM wants it (else none)',
      ).choices(['all', 'none']),
    )
    .option('--json', 'print the last event as JSON, and no progress')
    .addHelpText(
      'after',
      `
Needs the admin token: BOOTSWARM_TOKEN, or on the tracker's host the file admin.token in its data directory.

Agents that know an image before a storm of VMs lose no time to meet; they fetch nothing of it until then.
An image that is there already stays as it was published.

URIs: http(s)://…, glance:IMAGE_ID, rbd:POOL/IMAGE[@SNAPSHOT][:id=USER][:conf=FILE],
iscsi://HOST[:PORT]/TARGET/LUN, nbd://HOST[:PORT]/EXPORT, nbd+unix:///EXPORT?socket=PATH. An image of Glance
goes by its Glance id and has to have the hash that Glance promises. Volumes and devices are read twice, to
be sure that nobody writes to them, and are raw unless --format says otherwise.

Examples:
  bootswarm publish debian-12-generic-amd64.qcow2 --name debian-12
  bootswarm publish https://cloud.debian.org/images/cloud/bookworm/latest/debian-12-generic-amd64.qcow2
  bootswarm publish /srv/images/worker.raw --in-place
  bootswarm publish glance:6f0b2e5e-8d8c-4c0c-9c5e-0b6a3e1f7a42 --prejoin all
  bootswarm publish rbd:volumes/volume-golden@v3 --name golden-v3
  bootswarm publish /srv/images/rare.raw --prejoin none`,
    )
    .action((source: string, options: Options) => publish(source, options, terminal));
  return withTrackerOption(command);
}

async function publish(source: string, options: Options, terminal: Terminal): Promise<void> {
  const tracker = findTracker(options, terminal.env);
  const { name, format, inPlace, prejoin } = options;
  const path = await resolveSource(source, tracker);
  const request = { source: path, name, format, inPlace, prejoin };
  const token = await adminToken(tracker, terminal.env);
  if (options.json) {
    printJson(terminal.stdout, await publishImage(tracker, request, token, NO_REPORT));
    return;
  }
  const published = await publishImage(tracker, request, token, progressReport(terminal.stderr));
  print(terminal.stdout, describePublished(published.image, published));
}

/** Publishes and reports progress; resolves with the last event. Throws OperatorError when the tracker gives up. */
export async function publishImage(
  tracker: HttpClient,
  request: PublishRequest,
  token: string,
  report: ProgressReport,
): Promise<Published> {
  try {
    const events = tracker.postForLines<PublishEvent>('/v1/images', request, token);
    for await (const event of events) {
      if (event.type === 'published') return event;
      if (event.type === 'failed') throw new OperatorError(event.code, event.message, event.hint);
      report.update(event.stage, event.bytesDone, event.bytesTotal);
    }
  } finally {
    report.stop();
  }
  throw new OperatorError(
    'publish-cut-short',
    `the tracker ended its answer before ${request.source} was published`,
    "look at the tracker's log, then publish again: what is already there is not done twice",
  );
}

const NO_REPORT: ProgressReport = { update: () => {}, stop: () => {} };

/** A URL as it is; a path made absolute, and checked when the tracker sees the same files. */
async function resolveSource(source: string, tracker: HttpClient): Promise<string> {
  if (isSourceUri(source)) return source;
  const path = resolve(source);
  const { endpoint } = tracker;
  if (endpoint.type === 'tcp' && !isThisHost(endpoint.url)) return path;
  try {
    await access(path, constants.R_OK);
    return path;
  } catch (error) {
    throw new OperatorError(
      'source-unreadable',
      `cannot publish ${path}: ${messageOf(error)}`,
      'give the path of a raw or qcow2 image, or a URI (bootswarm publish --help)',
      { cause: error },
    );
  }
}

function describePublished(image: ImageSummary, { alreadyThere, seconds }: Published): string {
  const how = alreadyThere ? 'was there already' : `published in ${seconds.toFixed(1)} s`;
  const name = printable(image.name);
  return `${name} ${how}\n  id    ${image.id}\n  size  ${describeLength(image)}`;
}
