/**
 * What nova.conf says of where base images lie and what is done with them. Links are for the back end that puts qcow2 overlays on
 * base images: the Flat one copies the link itself, and a VM would then write to what all VMs read.
 */
import { readFileSync } from 'node:fs';
import { errnoOf, messageOf, OperatorError } from '@bootswarm/stdx';

export interface NovaConfig {
  /** Of base images, in the directory of instances. */
  readonly baseName: string;
  /** Whether a file said so. If none could be read, Nova may have any back end. */
  readonly isKnown: boolean;
}

/** Where distributions keep it; later ones win. */
export const NOVA_CONF_FILES = ['/etc/nova/nova.conf', '/etc/nova/nova-compute.conf'];
const BASE_NAME = '_base';

/**
 * `file`: instead of those of the distribution. Throws OperatorError `nova-flat-backend`, `nova-other-backend` or
 * `nova-config-unreadable`.
 */
export function readNovaConfig(file: string | undefined): NovaConfig {
  const settings = new Map<string, string>();
  let isKnown = false;
  for (const path of file === undefined ? NOVA_CONF_FILES : [file]) {
    const text = textOf(path, file !== undefined);
    if (text === undefined) continue;
    isKnown = true;
    for (const [key, value] of settingsOf(text)) settings.set(key, value);
  }
  refuseOtherBackends(settings);
  return { baseName: settings.get('image_cache.subdirectory_name') || BASE_NAME, isKnown };
}

function refuseOtherBackends(settings: ReadonlyMap<string, string>): void {
  const type = settings.get('libvirt.images_type')?.toLowerCase() ?? 'default';
  const isCow = !/^(false|0|no|off|f|n)$/i.test(settings.get('DEFAULT.use_cow_images') ?? '');
  if (type === 'qcow2' || (type === 'default' && isCow)) return;
  if (['raw', 'flat', 'default'].includes(type)) {
    const what = type === 'default' ? 'use_cow_images=False' : `images_type=${type}`;
    throw new OperatorError(
      'nova-flat-backend',
      `Nova is set to copy base images (${what}), and would copy the link to the shared image as a VM's disk`,
      'Set images_type=qcow2 in [libvirt] of nova.conf, or start the agent without --nova-instances.',
    );
  }
  throw new OperatorError(
    'nova-other-backend',
    `Nova is set to images_type=${type}, which makes no overlays on base images`,
    'Set images_type=qcow2 in [libvirt] of nova.conf, or start the agent without --nova-instances.',
  );
}

function textOf(path: string, isRequired: boolean): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (!isRequired && errnoOf(error) === 'ENOENT') return undefined;
    throw new OperatorError(
      'nova-config-unreadable',
      `Cannot read ${path}: ${messageOf(error)}`,
      'Give the path of nova.conf with --nova-conf, and let the agent read it.',
      { cause: error },
    );
  }
}

/** As oslo.config reads it, for values of one line: `section.key`, the last of several wins. */
function* settingsOf(text: string): Generator<[string, string]> {
  let section = 'DEFAULT';
  for (const line of text.split('\n')) {
    if (/^\s*[#;]/.test(line)) continue;
    const [, name] = /^\[([^\]]+)\]/.exec(line) ?? [];
    if (name !== undefined) section = name;
    const [, key, value] = /^(\w+)\s*[=:]\s*(.*?)\s*$/.exec(line) ?? [];
    if (key !== undefined) yield [`${section}.${key}`, value.replace(/^(["'])(.*)\1$/, '$2')];
  }
}
