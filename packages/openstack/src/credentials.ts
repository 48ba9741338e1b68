/**
 * What a daemon shows Keystone: an application credential, from the environment or from the openrc file that Horizon and
 * `openstack application credential create` users download. Reads names and values only; nothing of the file is run.
 */
import { readFile, stat } from 'node:fs/promises';
import { messageOf, OperatorError } from '@bootswarm/stdx';

export interface Credentials {
  /** Of Keystone, without the /v3. */
  readonly authUrl: URL;
  readonly id: string;
  readonly secret: string;
  /** Which of the catalog's regions; default: any. */
  readonly region?: string;
  /** Which of the catalog's endpoints; default: public. */
  readonly interface: 'public' | 'internal' | 'admin';
}

type Variables = Readonly<Record<string, string | undefined>>;

/** An openrc file has some 500 bytes. */
const FILE_BYTES_MAX = 64 * 1024;
/** Keystone's ids have 32 characters and its secrets 86. */
const VALUE_LENGTH_MAX = 1_024;

/** Throws OperatorError `credentials-file` or `credentials`. */
export async function readCredentials(path: string): Promise<Credentials> {
  let text: string;
  try {
    const { size, mode } = await stat(path);
    if (size > FILE_BYTES_MAX) throw new Error(`it has ${size} bytes`);
    if ((mode & 0o007) !== 0) throw new Error('everybody may read or write it');
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new OperatorError(
      'credentials-file',
      `Cannot use ${path} for credentials: ${messageOf(error)}`,
      'Give an openrc file of an application credential with mode 0600 that belongs to this daemon.',
      { cause: error },
    );
  }
  const credentials = credentialsOf(variablesOf(text), path);
  if (credentials !== undefined) return credentials;
  throw incomplete(path, 'OS_AUTH_URL');
}

/** undefined where the environment names no Keystone. Throws OperatorError `credentials`. */
export function credentialsFromEnvironment(env: Variables): Credentials | undefined {
  return credentialsOf(env, 'the environment');
}

/** `export NAME=VALUE` or `NAME=VALUE` by line, the value perhaps in quotes; other lines are a shell's business. */
export function variablesOf(text: string): Variables {
  const variables: Record<string, string> = Object.create(null);
  for (const line of text.split('\n')) {
    const match = /^\s*(?:export\s+)?(OS_[A-Z0-9_]{1,60})=(.*?)\s*$/.exec(line);
    if (match === null) continue;
    const quoted = /^(["'])(.*)\1$/.exec(match[2]);
    variables[match[1]] = quoted === null ? match[2] : quoted[2];
  }
  return variables;
}

function credentialsOf(variables: Variables, where: string): Credentials | undefined {
  const authUrl = variables.OS_AUTH_URL;
  if (authUrl === undefined || authUrl === '') return undefined;
  const url = URL.parse(authUrl.replace(/\/(v3\/?)?$/, ''));
  if (url === null || !/^https?:$/.test(url.protocol)) throw incomplete(where, 'OS_AUTH_URL');
  const id = textOf(variables, 'OS_APPLICATION_CREDENTIAL_ID', where);
  const secret = textOf(variables, 'OS_APPLICATION_CREDENTIAL_SECRET', where);
  const side = (variables.OS_INTERFACE ?? 'public').replace(/URL$/, '');
  if (side !== 'public' && side !== 'internal' && side !== 'admin') {
    throw incomplete(where, 'OS_INTERFACE');
  }
  const region = variables.OS_REGION_NAME;
  return { authUrl: url, id, secret, interface: side, ...(region && { region }) };
}

function textOf(variables: Variables, name: string, where: string): string {
  const value = variables[name] ?? '';
  if (value !== '' && value.length <= VALUE_LENGTH_MAX) return value;
  throw incomplete(where, name);
}

function incomplete(where: string, name: string): OperatorError {
  return new OperatorError(
    'credentials',
    `The credentials for OpenStack in ${where} have no usable ${name}`,
    'They are an application credential: OS_AUTH_URL, OS_APPLICATION_CREDENTIAL_ID and OS_APPLICATION_CREDENTIAL_SECRET.',
  );
}
