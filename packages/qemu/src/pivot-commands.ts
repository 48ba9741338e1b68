/** The QMP commands that move a running VM's overlay from whatever it reads through to onto a local raw file. Pure. */
import type { OverlayNodes } from './block-nodes.ts';
import type { QmpCommand } from './qmp-message.ts';

export const LOCAL_NODE = 'bootswarm-local';
export const HEADER_JOB = 'bootswarm-header';

export interface PivotCommands {
  /** Opens the local file. Undefined when an earlier attempt has. */
  readonly add: QmpCommand | undefined;
  /** From its answer on, the guest reads the local file. The nodes of the NBD connection go with it. */
  readonly reopen: QmpCommand;
  /**
   * Starts the job HEADER_JOB, which writes the header. There is no layer between the overlay and its backing file, so it copies
   * nothing. `change-backing-file` will not do: QEMU 7.2 writes the overlay's own format for that of the backing file.
   */
  readonly writeHeader: QmpCommand;
  /** Takes `add` back, when `reopen` was refused. */
  readonly remove: QmpCommand;
}

export function pivotCommands(nodes: OverlayNodes, imagePath: string): PivotCommands {
  const { overlay, file, options, names } = nodes;
  return {
    add: names.has(LOCAL_NODE)
      ? undefined
      : {
          execute: 'blockdev-add',
          // A raw node, not only the file's: its format is what the job writes into the header.
          arguments: {
            driver: 'raw',
            'node-name': LOCAL_NODE,
            'read-only': true,
            file: { driver: 'file', filename: imagePath },
          },
        },
    reopen: {
      execute: 'blockdev-reopen',
      arguments: {
        options: [{ driver: 'qcow2', 'node-name': overlay, ...options, file, backing: LOCAL_NODE }],
      },
    },
    writeHeader: {
      execute: 'block-stream',
      arguments: {
        'job-id': HEADER_JOB,
        device: overlay,
        'base-node': LOCAL_NODE,
        'backing-file': imagePath,
      },
    },
    remove: { execute: 'blockdev-del', arguments: { 'node-name': LOCAL_NODE } },
  };
}
