/**
 * The demo from start to end: a cloud of real processes on this machine, an image published in it, VMs that boot from it
 * all at once, and where their bytes came from. Leaves no process behind, and no file unless told to keep them.
 */
import { open, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ReadBytes } from '@bootswarm/agent';
import { messageOf, OperatorError } from '@bootswarm/stdx';
import { publishImage } from '../commands/publish.ts';
import { progressReport } from '../progress-report.ts';
import { type Output, print } from '../terminal.ts';
import { chooseAccelerator } from './accelerator-probe.ts';
import { ChildSet } from './child-set.ts';
import { Cloud } from './cloud.ts';
import { prepareDemoImage } from './demo-image.ts';
import type { DemoResult, GuestResult } from './demo-report.ts';
import { requirePrograms } from './external-program.ts';
import { type BootOptions, Guest } from './guest.ts';
import type { Accelerator } from './qemu-command.ts';
import { RunDirectory } from './run-directory.ts';
import { NOTHING_READ, readByVm, settledTraffic } from './storm-traffic.ts';
import { stormView } from './storm-view.ts';

export interface DemoOptions {
  readonly agents: number;
  readonly vms: number;
  /** An image of the user's; left out, the demo's own is made. */
  readonly imagePath: string | undefined;
  readonly marker: RegExp;
  readonly timeoutMs: number;
  readonly isKept: boolean;
}

/** What is booted, and how to tell that it has. */
interface BootImage {
  readonly path: string;
  readonly format: 'raw' | 'qcow2';
  readonly marker: RegExp;
  /** Of what a guest reads; undefined for a user's image. */
  readonly sha256: string | undefined;
}

/** MiB; the demo's own guest needs a quarter of it, and the rest is page cache for what it reads. */
const DEMO_GUEST_MIB = 256;
const VIEW_INTERVAL_MS = 1_000;
const QCOW2_MAGIC = 'QFI\xfb';

/**
 * Runs the demo, telling `output` how it goes. Rejects when it cannot be run to its end, and when `interrupted` does; VMs
 * that fail are in the result.
 */
export async function runDemo(
  options: DemoOptions,
  output: Output,
  interrupted: Promise<never>,
): Promise<DemoResult> {
  requirePrograms(['qemu-system-x86_64', 'qemu-img']);
  const home = resolve('.bootswarm', 'demo');
  const run = await RunDirectory.create(home);
  const children = new ChildSet();
  const work = new Demo(options, output, home, run, children).run();
  try {
    return await Promise.race([work, interrupted]);
  } finally {
    await children.close();
    // With its children gone it fails soon, and cleans up after itself.
    await Promise.allSettled([work]);
    if (options.isKept) print(output, describeKept(run));
    else await run.remove();
  }
}

class Demo {
  readonly #options: DemoOptions;
  readonly #output: Output;
  readonly #home: string;
  readonly #run: RunDirectory;
  readonly #children: ChildSet;

  constructor(
    options: DemoOptions,
    output: Output,
    home: string,
    run: RunDirectory,
    children: ChildSet,
  ) {
    this.#options = options;
    this.#output = output;
    this.#home = home;
    this.#run = run;
    this.#children = children;
  }

  async run(): Promise<DemoResult> {
    const { agents } = this.#options;
    const image = await this.#image();
    this.#tell(`starting a tracker and ${agents} agents`);
    const cloud = await Cloud.start(agents, this.#children, this.#run);
    this.#tell(`the storm as a web page, while it is on: ${cloud.pageUrl}`);
    return Promise.race([this.#storm(cloud, image), cloud.untilDaemonFails()]);
  }

  async #image(): Promise<BootImage> {
    const { imagePath, marker } = this.#options;
    if (imagePath !== undefined) {
      return { path: imagePath, format: await formatOf(imagePath), marker, sha256: undefined };
    }
    const { path, sha256, buildSeconds } = await prepareDemoImage(this.#home, () =>
      this.#tell('making the demo image from Debian packages (once)'),
    );
    if (buildSeconds !== undefined) this.#tell(`made it in ${buildSeconds.toFixed(1)} s`);
    return { path, format: 'raw', marker, sha256 };
  }

  async #storm(cloud: Cloud, image: BootImage): Promise<DemoResult> {
    const machine = {
      memoryMiB: image.sha256 === undefined ? undefined : DEMO_GUEST_MIB,
      needsModernCpu: image.sha256 === undefined,
    };
    const [id, accelerator] = await Promise.all([
      this.#publish(cloud, image),
      chooseAccelerator(image, machine, this.#children, this.#run),
    ]);
    const { vms, marker, timeoutMs } = this.#options;
    const guests = await createGuests(cloud, id, vms);
    this.#tell(`booting ${vms} VMs at once with ${describeAccelerator(accelerator)}`);
    await this.#boot(cloud, guests, {
      ...{ marker, timeoutMs, sha256: image.sha256, machine: { ...machine, accelerator } },
      ...{ children: this.#children, run: this.#run },
    });
    const { readByVm: read, ...traffic } = await settledTraffic(cloud, id);
    return { image: image.path, accelerator, guests: guestResults(guests, read), ...traffic };
  }

  async #publish(cloud: Cloud, image: BootImage): Promise<string> {
    const request = { source: image.path, name: 'demo', inPlace: image.format === 'raw' };
    const report = progressReport(this.#output);
    const published = await publishImage(cloud.tracker, request, cloud.adminToken, report);
    this.#tell(`published ${image.path} in ${published.seconds.toFixed(1)} s`);
    return published.image.id;
  }

  /** Resolves when no guest runs any more. */
  async #boot(cloud: Cloud, guests: readonly Guest[], options: BootOptions): Promise<void> {
    const view = stormView(this.#output);
    const over = new AbortController();
    const boots = Promise.all(guests.map((guest) => guest.boot(options))).finally(() =>
      over.abort(),
    );
    try {
      while (!over.signal.aborted) {
        view.update(guestResults(guests, await readByVm(cloud)));
        await delay(VIEW_INTERVAL_MS, undefined, { signal: over.signal }).catch(() => {});
      }
      await boots;
      view.update(guestResults(guests, await readByVm(cloud)));
    } finally {
      view.end();
      await Promise.allSettled([boots]);
    }
  }

  #tell(text: string): void {
    print(this.#output, text);
  }
}

/** VM i on node i modulo the number of nodes. */
function createGuests(cloud: Cloud, image: string, count: number): Promise<Guest[]> {
  const indexes = Array.from({ length: count }, (_, index) => index);
  return Promise.all(
    indexes.map((index) => {
      const node = cloud.nodes[index % cloud.nodes.length];
      return Guest.create(`vm-${index + 1}`, node, image);
    }),
  );
}

function guestResults(
  guests: readonly Guest[],
  read: ReadonlyMap<string, ReadBytes>,
): GuestResult[] {
  return guests.map(({ name, node, state }) => ({
    ...{ name, node: node.name, state },
    read: read.get(name) ?? NOTHING_READ,
  }));
}

async function formatOf(path: string): Promise<'raw' | 'qcow2'> {
  try {
    if (!(await stat(path)).isFile()) throw new Error('not a file');
    const file = await open(path);
    const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0).finally(() => file.close());
    return buffer.toString('latin1') === QCOW2_MAGIC ? 'qcow2' : 'raw';
  } catch (error) {
    throw new OperatorError(
      'image-unreadable',
      `cannot read the image ${path}: ${messageOf(error)}`,
      'give --image the path of a raw or qcow2 disk that boots by BIOS',
      { cause: error },
    );
  }
}

function describeAccelerator(accelerator: Accelerator): string {
  return accelerator === 'kvm' ? 'KVM' : 'TCG (no working KVM here: several times slower)';
}

function describeKept(run: RunDirectory): string {
  const vm = join(run.path, 'node-1', 'vms');
  return [
    `kept ${run.path}; to look around:`,
    `  less ${run.log('tracker')} ${run.log('node-1')}   what the daemons logged`,
    `  less ${run.log('vm-1')}   the console of a VM`,
    `  ls -lsR ${vm}   overlays: what a VM wrote`,
    `  rm -r ${run.path}`,
  ].join('\n');
}
