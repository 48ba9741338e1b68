/**
 * What a live migration of a VM between two agents consists of: the QMP commands for both QEMUs in their order, and the event
 * that each has to wait for. Only the overlay and the memory move; the image is on the destination's own export. Pure.
 */
import type { QmpCommand } from './qmp-message.ts';

export interface MigrationOptions {
  /** The name or address under which the source reaches the destination. */
  readonly host: string;
  /** Free TCP ports of the destination: for the disk (NBD), and for memory and devices. */
  readonly diskPort: number;
  readonly memoryPort: number;
  /** Whether the overlay holds the whole disk, and has to be moved as such. */
  readonly isFlat: boolean;
}

export interface MigrationStep {
  readonly at: 'source' | 'destination';
  readonly command: QmpCommand;
  /** The event of the same QEMU that ends the step: its name, and what its data must have. */
  readonly until?: { readonly event: string; readonly data: Readonly<Record<string, string>> };
}

export interface MigrationPlan {
  /** Added to the QEMU command of the destination. */
  readonly destinationArguments: readonly string[];
  /** After the last of them the guest runs at the destination. */
  readonly steps: readonly MigrationStep[];
  /** After that. */
  readonly finish: readonly MigrationStep[];
  /**
   * After a step that failed, at the source only, where the guest then goes on: whoever does not know how far it got must not end
   * the destination. Each may fail, for what had not been begun.
   */
  readonly undo: readonly MigrationStep[];
}

const JOB = 'bootswarm-migration';
const TARGET_NODE = 'bootswarm-target';
const OVERLAY_NODE = 'overlay';

export function migrationPlan(options: MigrationOptions): MigrationPlan {
  const { host, diskPort, memoryPort, isFlat } = options;
  const everyAddress = { type: 'inet', data: { host: '', port: String(diskPort) } };
  const job = { event: 'BLOCK_JOB_READY', data: { device: JOB } };
  const capabilities = ['events', 'pause-before-switchover'].map((capability) => ({
    capability,
    state: true,
  }));
  return {
    destinationArguments: ['-incoming', 'defer'],
    steps: [
      to('destination', 'nbd-server-start', { addr: everyAddress }),
      to('destination', 'block-export-add', {
        ...{ type: 'nbd', id: JOB, 'node-name': OVERLAY_NODE, writable: true },
      }),
      to('source', 'blockdev-add', {
        ...{ driver: 'nbd', 'node-name': TARGET_NODE, export: OVERLAY_NODE },
        server: { type: 'inet', host, port: String(diskPort) },
      }),
      // top: what the VM wrote. A flat overlay has no layer below it that the destination has too.
      to(
        'source',
        'blockdev-mirror',
        {
          ...{ 'job-id': JOB, device: OVERLAY_NODE, target: TARGET_NODE },
          ...{ sync: isFlat ? 'full' : 'top', 'copy-mode': 'write-blocking' },
        },
        job,
      ),
      to('source', 'migrate-set-capabilities', { capabilities }),
      to('destination', 'migrate-incoming', { uri: `tcp:[::]:${memoryPort}` }),
      to(
        'source',
        'migrate',
        { uri: `tcp:${bracketed(host)}:${memoryPort}` },
        status('pre-switchover'),
      ),
      // The guest stands still, so the disks are the same: the mirror ends before the destination takes its disk over.
      to('source', 'block-job-cancel', { device: JOB }, { ...job, event: 'BLOCK_JOB_COMPLETED' }),
      to('source', 'migrate-continue', { state: 'pre-switchover' }, status('completed')),
    ],
    finish: [to('destination', 'nbd-server-stop'), to('source', 'quit')],
    undo: [
      to('source', 'migrate_cancel'),
      to(
        'source',
        'block-job-cancel',
        { device: JOB, force: true },
        { ...job, event: 'BLOCK_JOB_CANCELLED' },
      ),
      to('source', 'blockdev-del', { 'node-name': TARGET_NODE }),
    ],
  };
}

function to(
  at: MigrationStep['at'],
  execute: string,
  args?: Readonly<Record<string, unknown>>,
  until?: MigrationStep['until'],
): MigrationStep {
  return { at, command: { execute, ...(args && { arguments: args }) }, ...(until && { until }) };
}

function status(wanted: string): MigrationStep['until'] {
  return { event: 'MIGRATION', data: { status: wanted } };
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
