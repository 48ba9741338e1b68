/**
 * Moves a running VM onto a local copy of its image: afterwards it needs no NBD server, now or when it is started again. What
 * vouches for the copy is the caller's to know.
 */
import { OperatorError } from '@bootswarm/stdx';
import { findOverlay, type OverlayNodes } from './block-nodes.ts';
import { HEADER_JOB, pivotCommands } from './pivot-commands.ts';
import type { QmpClient } from './qmp-client.ts';
import { isObject } from './qmp-message.ts';

export interface PivotOptions {
  readonly overlayPath: string;
  /** Absolute path of the raw file. */
  readonly imagePath: string;
  /** From here on the VM reads the local file, or nobody knows; until then it reads what it did. */
  readonly onMoved?: () => void;
}

/** States in which the disk is, or may in a moment be, another host's. */
const MIGRATION_STATES = ['inmigrate', 'finish-migrate', 'postmigrate'];

/**
 * May be repeated, whatever became of an earlier attempt. Throws OperatorError `vm-migrating`, `vm-disk-unknown`,
 * `vm-header-unwritten` (it reads the local file, and its header does not say so), and what QmpClient.execute() throws.
 */
export async function pivotOverlay(client: QmpClient, options: PivotOptions): Promise<void> {
  const { overlayPath, imagePath } = options;
  await requireAtHome(client);
  const commands = pivotCommands(await overlayNodes(client, overlayPath), imagePath);
  if (commands.add) await client.execute(commands.add);
  try {
    await client.execute(commands.reopen);
  } catch (error) {
    const isRefused = error instanceof OperatorError && error.code === 'qmp-refused';
    if (!isRefused) options.onMoved?.();
    // If the node is in use after all, by an earlier attempt, it stays.
    else await client.execute(commands.remove).catch(() => {});
    throw error;
  }
  options.onMoved?.();
  const over = client.event('the end of block-stream', ({ name, data }) => {
    return name === 'BLOCK_JOB_COMPLETED' && data.device === HEADER_JOB;
  });
  await client.execute(commands.writeHeader);
  const { data } = await over;
  if (typeof data.error === 'string') throw headerUnwritten(overlayPath, data.error);
  const { backingFile, backingFormat } = await overlayNodes(client, overlayPath);
  if (backingFile === imagePath && backingFormat === 'raw') return;
  throw headerUnwritten(overlayPath, `it says ${backingFile} of format ${backingFormat}`);
}

async function requireAtHome(client: QmpClient): Promise<void> {
  const answer = await client.execute({ execute: 'query-status' });
  const status = isObject(answer) ? answer.status : undefined;
  const jobs = await client.execute({ execute: 'query-block-jobs' });
  const isBusy = !Array.isArray(jobs) || jobs.length > 0;
  if (typeof status === 'string' && !MIGRATION_STATES.includes(status) && !isBusy) return;
  throw new OperatorError(
    'vm-migrating',
    isBusy
      ? 'the disk of the VM is being copied, by a migration or another block job'
      : `the VM is on its way to or from another host (${String(status)})`,
    'Try again when that is over.',
  );
}

async function overlayNodes(client: QmpClient, overlayPath: string): Promise<OverlayNodes> {
  const list = { execute: 'query-named-block-nodes', arguments: { flat: true } };
  const found = findOverlay(await client.execute(list), overlayPath);
  if (found) return found;
  throw new OperatorError(
    'vm-disk-unknown',
    `the QEMU on this QMP socket has not got the overlay ${overlayPath} open for writing, once`,
    'Give each VM a QMP socket of its own, and start it with the QEMU command of bootswarm vm create.',
  );
}

function headerUnwritten(overlayPath: string, why: string): OperatorError {
  return new OperatorError(
    'vm-header-unwritten',
    `the VM reads the local file, but the header of ${overlayPath} could not be changed: ${why}`,
    'Rebase it with bootswarm vm rebase when it is shut down.',
  );
}
