/** Finds a VM's overlay among QEMU's block nodes, as `query-named-block-nodes` lists them. Pure. */
import { isObject } from './qmp-message.ts';

/** The overlay of a running VM, in the names that QEMU has for its nodes. */
export interface OverlayNodes {
  /** The qcow2 node. */
  readonly overlay: string;
  /** The node of its file. */
  readonly file: string;
  /** What a reopen would otherwise set back to the default. */
  readonly options: Readonly<Record<string, unknown>>;
  /** As its header has them: the backing file and its format. */
  readonly backingFile: string | undefined;
  readonly backingFormat: string | undefined;
  /** Names of all nodes of this QEMU. */
  readonly names: ReadonlySet<string>;
}

type BlockNode = Readonly<Record<string, unknown>>;

/** Undefined unless exactly one writable qcow2 node of this QEMU is on the file `overlayPath`. */
export function findOverlay(answer: unknown, overlayPath: string): OverlayNodes | undefined {
  if (!Array.isArray(answer)) return undefined;
  const nodes: BlockNode[] = answer.filter(isObject);
  const isOn = (node: BlockNode, driver: string): boolean =>
    node.drv === driver && node.ro === false && filePath(node.file) === overlayPath;
  const [overlay, otherOverlay] = nodes.filter((node) => isOn(node, 'qcow2'));
  const [file, otherFile] = nodes.filter((node) => isOn(node, 'file'));
  if (otherOverlay || otherFile) return undefined;
  const names = [overlay?.['node-name'], file?.['node-name']];
  const [overlayName, fileName] = names;
  if (typeof overlayName !== 'string' || typeof fileName !== 'string') return undefined;
  const image = isObject(overlay.image) ? overlay.image : {};
  return {
    overlay: overlayName,
    file: fileName,
    options: keptOptions(overlay),
    backingFile: text(image['backing-filename']),
    backingFormat: text(image['backing-filename-format']),
    names: new Set(
      nodes.map((node) => node['node-name']).filter((name) => typeof name === 'string'),
    ),
  };
}

/**
 * The path of a file node, and of a qcow2 node on it. While a qcow2 node reads from another backing file than its header says,
 * QEMU writes both out as json:.
 */
function filePath(file: unknown): string | undefined {
  if (typeof file !== 'string' || !file.startsWith('json:')) return text(file);
  try {
    const parsed: unknown = JSON.parse(file.slice('json:'.length));
    const child = isObject(parsed) && isObject(parsed.file) ? parsed.file : undefined;
    return text(child?.filename);
  } catch {
    return undefined;
  }
}

/** Of our own command line; the rest is what QEMU tells of a node. */
function keptOptions(node: BlockNode): Record<string, unknown> {
  const cache = isObject(node.cache) ? node.cache : {};
  return {
    discard: 'unmap',
    'detect-zeroes': text(node.detect_zeroes) ?? 'off',
    cache: { direct: cache.direct === true, 'no-flush': cache['no-flush'] === true },
  };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
